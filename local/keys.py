"""Keys of cached files: a digest of all inputs."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def content_key(*parts: str, files: Iterable[Path] = ()) -> str:
    """Return a short digest of strings and of files (name, executable bit and content)."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    for path in sorted(files):
        data = path.read_bytes()
        executable = bool(path.stat().st_mode & 0o100)
        digest.update(f"{path.name}:{executable}:{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()[:16]
