"""Hide the secrets in addresses. A token may be in any part, also in the path."""

import hashlib
import re
from typing import Final

# Without a limit on the scheme's length, long lines would take quadratic time.
_ADDRESS: Final = re.compile(r"([A-Za-z0-9+.-]{0,30}://)([^\s;'\"]+)")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(?::\d+)?")


def hidden(text: str) -> str:
    """Return `text` with addresses cut to scheme and host: `https://pypi.acme.com/...`."""
    return _ADDRESS.sub(lambda match: f"{match[1]}{_host(match[2])}/...", text)


def fingerprinted(text: str) -> str:
    """Return `text` with addresses cut to scheme, host and a fingerprint: `https://acme.com#1a2b3c4d`.

    The fingerprint leaves out login and query: a short password could be guessed from it.
    """
    return _ADDRESS.sub(lambda match: f"{match[1]}{_host(match[2])}#{_fingerprint(match[2])}", text)


def _authority(address: str) -> str:
    return re.split(r"[/?#]", address, maxsplit=1)[0]


def _host(address: str) -> str:
    host = _authority(address).rpartition("@")[2]
    return host if _HOST.fullmatch(host) else "..."


def _fingerprint(address: str) -> str:
    login = _authority(address).rpartition("@")[0]
    public = address.removeprefix(f"{login}@").split("?")[0]
    return hashlib.sha256(public.encode()).hexdigest()[:8]
