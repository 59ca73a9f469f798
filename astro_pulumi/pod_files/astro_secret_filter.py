"""Remove secrets from text that leaves the cluster, such as log lines of a failed container.

Secrets are known by their values: each file of a folder holds one. A value is also removed in the forms and
parts that appear in logs: the password of a URL, a string in JSON, a line of a key.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

REPLACEMENT = "***"
# Shorter values, such as a port, are in half of all lines and reveal nothing.
SHORTEST = 4
# For parts without a mark of a secret: lines of a file, JSON strings, options of a URL.
SHORTEST_PART = 8
# For words in a file: generated passwords. Names of settings are shorter, or have no digits.
SHORTEST_WORD = 16
# A line would be useless without them.
PLAIN = ("conn_type", "host", "port", "schema")
SENSITIVE = re.compile("pass|secret|token|key|credential|auth", re.IGNORECASE)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def read_secrets(folder: Path) -> dict[str, str]:
    """Return the files below `folder`, which has one folder per Secret, as Kubernetes mounts them."""
    return {
        f"{file.parent.name}/{file.name}": file.read_text(errors="replace")
        for file in sorted(folder.glob("*/*"))
        if not file.name.startswith("..") and file.is_file()
    }


def make_filter(secrets: dict[str, str]) -> Callable[[str], str]:
    """Return a function that removes the values of `secrets` from text.

    Args:
        secrets: Values by name. The value of a name that ends in USERNAME is not a secret.
    """
    values = {
        form
        for name, text in secrets.items()
        if not name.upper().endswith("USERNAME")
        for part in _parts(text)
        for form in _forms(part)
        if len(form) >= SHORTEST
    }
    if not values:
        return _without_escapes
    # The longest first: a value may be the beginning of another value.
    pattern = re.compile("|".join(map(re.escape, sorted(values, key=len, reverse=True))))
    return lambda text: pattern.sub(REPLACEMENT, _without_escapes(text))


def _without_escapes(text: str) -> str:
    """Return the text without colours: a secret that contains one would not be found."""
    return ESCAPES.sub("", text)


def _forms(value: str) -> Iterator[str]:
    """Yield a value in its forms in URLs, in JSON, in `repr` and in headers."""
    yield value
    yield quote(value)
    yield quote(value, safe="")
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield repr(value)[1:-1]
    yield base64.b64encode(value.encode()).decode().rstrip("=")


def _parts(text: str) -> Iterator[str]:
    yield text
    yield text.strip()
    yield from _of_url(text.strip())
    document = _read_json(text)
    yield from _of_file(text.splitlines()) if document is None else _strings(document, "")


def _read_json(text: str) -> Any:
    """Return the mapping or list in JSON text, or None."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, (dict, list)) else None


def _of_file(lines: list[str]) -> Iterator[str]:
    """Yield lines, quoted strings and generated words of a file: a key, a list of users, a configuration."""
    for line in map(str.strip, lines):
        if len(line) >= SHORTEST_PART:
            yield line
        yield from _of_url(line)
        yield from re.findall(r'"([^"]+)"', line)
        for word in line.split():
            if len(word) >= SHORTEST_WORD and re.search("[0-9]", word):
                yield word


def _of_url(text: str) -> Iterator[str]:
    try:
        parts = urlsplit(text)
    except ValueError:
        return
    if not parts.scheme or "://" not in text:
        return
    login, _, _ = parts.netloc.rpartition("@")
    password = login.partition(":")[2]
    if password:
        yield from (login, unquote(login), password, unquote(password))
    for name, value in parse_qsl(parts.query):
        if name == "__extra__":  # Airflow's, for what a URL has no place for
            yield from _strings(_read_json(value), "")
        elif SENSITIVE.search(name):
            yield value


def _strings(value: Any, name: str) -> Iterable[str]:
    """Yield the strings in a decoded JSON value. Some are JSON or URLs themselves."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, name)
    elif isinstance(value, str) and name not in PLAIN:
        yield from _strings(_read_json(value), "")
        yield from _of_url(value)
        if len(value) >= SHORTEST_PART or SENSITIVE.search(name):
            yield value
