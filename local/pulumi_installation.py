"""Pulumi for the local platform: the CLI on PATH, or one built here.

A CLI on PATH fetches its own plugins, and nothing of this module is used. A built CLI cannot: no package
registry serves the Python language host or the providers `docker` and `random`, so small stand-ins replace
them (`local/pulumi/`), each only without the real plugin.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from local.paths import Paths

# Provider -> module of its stand-in; None: built from its Go module.
_PROVIDERS: Final = {
    "kubernetes": None,
    "docker": "local.pulumi.docker_provider",
    "random": "local.pulumi.random_provider",
}
_LANGUAGE_HOST: Final = "pulumi-language-python"
# Python must not import modules from the working directory, which is the user's program.
_LAUNCHER: Final = '#!/bin/sh\nexec {python} -P -m {module} "$@"\n'


def existing(paths: Paths) -> str | None:
    """Return the path of `pulumi` on PATH, unless it is this platform's."""
    own = str(home(paths) / "bin")
    others = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder != own]
    return shutil.which("pulumi", path=os.pathsep.join(others))


def home(paths: Paths) -> Path:
    """Return the PULUMI_HOME of this platform's Pulumi, which may not exist."""
    return paths.state / "pulumi-home"


def install(programs: Mapping[str, Path], paths: Paths) -> Path:
    """Assemble Pulumi from its built programs, by name, and return its PULUMI_HOME.

    The executables are in its `bin/`. The providers are in the directory of installed plugins: the CLI warns
    about providers on PATH.
    """
    folder = home(paths)
    binaries = folder / "bin"
    binaries.mkdir(parents=True, exist_ok=True)
    # Files, not links: these programs search for language hosts beside the target of a link.
    for name in ("pulumi", "pulumi-language-yaml"):
        _copy(binaries / name, programs[name])
    if not shutil.which(_LANGUAGE_HOST):
        _launch(binaries / _LANGUAGE_HOST, "local.pulumi.language_host")
    for provider, stand_in in _PROVIDERS.items():
        executable = f"pulumi-resource-{provider}"
        plugin = f"resource-{provider}-v{version(f'pulumi-{provider}')}"
        target = folder / "plugins" / plugin / executable
        target.parent.mkdir(parents=True, exist_ok=True)
        real = _real_plugin(plugin, executable)
        if real:
            _link(target, real)
        elif stand_in:
            _launch(target, stand_in)
        else:
            _link(target, programs[executable])
    return folder


def _real_plugin(plugin: str, executable: str) -> Path | None:
    """Return a plugin that the user has installed, or None."""
    installed = Path.home() / ".pulumi" / "plugins" / plugin / executable
    if installed.exists():
        return installed
    on_path = shutil.which(executable)
    return Path(on_path) if on_path else None


def _link(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _copy(path: Path, source: Path) -> None:
    path.unlink(missing_ok=True)
    try:
        path.hardlink_to(source)
    except OSError:  # on another file system
        shutil.copy(source, path)


def _launch(path: Path, module: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(_LAUNCHER.format(python=sys.executable, module=module))
    path.chmod(0o755)
