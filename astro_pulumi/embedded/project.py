"""A Pulumi project on disk: `Pulumi.yaml`, each stack's `Pulumi.<stack>.yaml`, the selected stack."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from astro_pulumi.embedded.secrets import Crypter
from astro_pulumi.embedded.values import Properties, Secret
from astro_pulumi.errors import EngineError

_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Project:
    """A project as its `Pulumi.yaml` describes it."""

    file: Path
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The project's name, a part of every URN."""
        return str(self.settings["name"])

    @property
    def root(self) -> Path:
        """The directory of `Pulumi.yaml`."""
        return self.file.parent

    @property
    def runtime_options(self) -> Mapping[str, Any]:
        """`runtime.options`: `virtualenv`, `toolchain`."""
        runtime = self.settings.get("runtime")
        return (runtime.get("options") or {}) if isinstance(runtime, dict) else {}

    @property
    def program(self) -> tuple[Path, str]:
        """-> (working directory, program), by Pulumi's rules for `main`."""
        main = self.root / str(self.settings.get("main") or "")
        if not main.exists():
            raise EngineError(f"{self.file}: main: {main} does not exist")
        return (main, ".") if main.is_dir() else (main.parent, main.name)

    def stack_file(self, stack: str) -> Path:
        """Where the stack's configuration is."""
        return self.root / str(self.settings.get("stackConfigDir") or "") / f"Pulumi.{stack}.yaml"


def find_project(directory: Path) -> Project:
    """The project that `directory` is in: the nearest `Pulumi.yaml` upwards."""
    directory = directory.resolve()
    for candidate in (directory, *directory.parents):
        for file in (candidate / "Pulumi.yaml", candidate / "Pulumi.yml"):
            if file.is_file():
                return _read_project(file)
    raise EngineError(
        f"no Pulumi.yaml in {directory} or above it: run this in a Pulumi project, or name its "
        "directory with --cwd"
    )


def _read_project(file: Path) -> Project:
    settings = read_yaml(file)
    if not settings.get("name"):
        raise EngineError(f"{file}: 'name' is missing")
    runtime = settings.get("runtime")
    language = runtime.get("name") if isinstance(runtime, dict) else runtime
    if language != "python":
        raise EngineError(
            f"{file}: runtime {language!r}: the embedded engine runs Python programs only. "
            "Install the Pulumi CLI for this one."
        )
    return Project(file, settings)


def read_yaml(file: Path) -> dict[str, Any]:
    """A YAML mapping; empty when there is no such file."""
    try:
        data = yaml.load(file.read_text(), _Loader)  # noqa: S506 - it is a safe loader
    except FileNotFoundError:
        return {}
    except (OSError, yaml.YAMLError) as error:
        raise EngineError(f"{file}: {error}") from error
    if data is not None and not isinstance(data, dict):
        raise EngineError(f"{file}: a mapping is expected")
    return data or {}


@dataclass(frozen=True, slots=True)
class Config:
    """A stack's configuration as the program sees it."""

    values: Mapping[str, str]  # "project:key" -> value; objects as JSON
    secret_keys: frozenset[str]

    def of_package(self, package: str) -> Properties:
        """`kubernetes:context` -> `context`: what configures a package's default provider."""
        prefix = f"{package}:"
        return {
            key.removeprefix(prefix): Secret(value) if key in self.secret_keys else value
            for key, value in self.values.items()
            if key.startswith(prefix)
        }


def read_config(project: Project, stack: str, crypter: Crypter) -> Config:
    """The stack's values over the project's defaults, decrypted."""
    values: dict[str, str] = {}
    secret_keys: set[str] = set()
    for key, declared in (project.settings.get("config") or {}).items():
        default = declared
        if isinstance(declared, dict):
            default = declared.get("value", declared.get("default"))
            if declared.get("secret"):
                secret_keys.add(full_key(project, key))
        if default is not None:
            values[full_key(project, key)] = _as_text(default)
    for key, value in (read_yaml(project.stack_file(stack)).get("config") or {}).items():
        plain, secret = _decrypt(value, crypter)
        values[full_key(project, key)] = _as_text(plain)
        if secret:
            secret_keys.add(full_key(project, key))
    return Config(values, frozenset(secret_keys & set(values)))


def full_key(project: Project, key: str) -> str:
    """`key` -> `project:key`; a key with a namespace stays."""
    return key if ":" in key else f"{project.name}:{key}"


def write_config(
    project: Project, stack: str, key: str, value: str | None, crypter: Crypter | None
) -> None:
    """Sets one value, encrypted when there is a `crypter`; None removes it. The rest of the file stays as
    it is, comments included."""
    file = project.stack_file(stack)
    lines = file.read_text().splitlines() if file.exists() else []
    if "config:" not in lines:
        if value is None:
            return
        lines = [line for line in lines if not re.match(r"config:\s*(\{\s*\})?\s*$", line)]
        lines.append("config:")
    if value is None:
        entry = []
    elif crypter:
        entry = [f"  {full_key(project, key)}:", f"    secure: {crypter.encrypt(value)}"]
    else:
        entry = [f"  {full_key(project, key)}: {json.dumps(value, ensure_ascii=False)}"]
    start = lines.index("config:") + 1
    end = start
    while end < len(lines) and (not lines[end].strip() or lines[end][0] in " #"):
        end += 1
    is_entry = re.compile(rf"""\s+["']?{re.escape(full_key(project, key))}["']?\s*:(\s|$)""")
    at = next((i for i in range(start, end) if is_entry.match(lines[i])), None)
    if at is None:
        if value is None:
            return
        lines[end:end] = entry
    else:
        indent = len(lines[at]) - len(lines[at].lstrip())
        last = at + 1
        while last < end and len(lines[last]) - len(lines[last].lstrip()) > indent:
            last += 1
        lines[at:last] = [" " * (indent - 2) + line for line in entry]
        if not any(line.strip() for line in lines[start : end - (last - at) + len(entry)]):
            del lines[start - 1]
    _write(file, lines)


def read_salt(project: Project, stack: str) -> str | None:
    """The stack's `encryptionsalt`; refuses stacks with another secrets provider."""
    settings = read_yaml(project.stack_file(stack))
    other = settings.get("secretsprovider") or ("cloud" if settings.get("encryptedkey") else "")
    if other and other != "passphrase":
        raise EngineError(
            f"{project.stack_file(stack)}: secretsprovider {other!r}: the embedded engine knows only "
            "'passphrase'. Install the Pulumi CLI to go on with this stack."
        )
    salt = settings.get("encryptionsalt")
    return str(salt) if salt else None


def write_salt(project: Project, stack: str, salt: str) -> None:
    """Records a new stack's salt."""
    file = project.stack_file(stack)
    lines = file.read_text().splitlines() if file.exists() else []
    _write(file, [f"encryptionsalt: {salt}", *lines])


def selected_stack(project: Project) -> str | None:
    """The stack that `pulumi stack select` or `select_stack` chose."""
    try:
        data = json.loads(_workspace_file(project).read_text())
    except (OSError, ValueError):
        return None
    return str(data.get("stack") or "").rsplit("/", 1)[-1] or None


def select_stack(project: Project, stack: str) -> None:
    """Makes `stack` the one that commands without `--stack` mean, for the Pulumi CLI as well."""
    file = _workspace_file(project)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.write_text(json.dumps({"stack": stack}, indent=4))


def pulumi_home() -> Path:
    """`~/.pulumi`, or what PULUMI_HOME names."""
    return Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")


def _workspace_file(project: Project) -> Path:
    digest = hashlib.sha1(str(project.file).encode(), usedforsecurity=False).hexdigest()
    return pulumi_home() / "workspaces" / f"{project.name}-{digest}-workspace.json"


def _write(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"))
    return str(value)


def _decrypt(value: Any, crypter: Crypter) -> tuple[Any, bool]:
    """-> (plain value, whether a secret is in it)."""
    if isinstance(value, dict):
        if list(value) == ["secure"] and isinstance(value["secure"], str):
            return crypter.decrypt(value["secure"]), True
        pairs = {key: _decrypt(item, crypter) for key, item in value.items()}
        return {k: v for k, (v, _) in pairs.items()}, any(secret for _, secret in pairs.values())
    if isinstance(value, list):
        items = [_decrypt(item, crypter) for item in value]
        return [v for v, _ in items], any(secret for _, secret in items)
    return value, False
