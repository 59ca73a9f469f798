"""Loads a script that runs in pods, where it stands beside the others and not in a package."""

import importlib
import sys
from pathlib import Path
from typing import Any

import astro_pulumi

_FOLDER = str(Path(astro_pulumi.__file__).parent / "pod_files")


def load(name: str) -> Any:
    """The module `pod_files/<name>.py`."""
    if _FOLDER not in sys.path:
        sys.path.append(_FOLDER)
    return importlib.import_module(name)
