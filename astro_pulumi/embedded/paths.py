"""Property paths: `spec.replicas`, `metadata.annotations["a.b"]`, `containers[0].image`, `spec.*`.

The rules are those of Pulumi's `resource.PropertyPath`. Secrets on the way are looked through.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from astro_pulumi.embedded.values import Properties, Secret, Value, reveal

Path = tuple[str | int, ...]

_TOKEN: Final = re.compile(r'\.?([^.\[\]"]+)|\[(\d+|\*)\]|\["((?:[^"\\]|\\.)*)"\]')
_MISSING: Final[Any] = object()


def parse(text: str) -> Path:
    """A path's text -> its keys and indices. `*` stays a key that matches every one."""
    path: list[str | int] = []
    for key, index, quoted in _TOKEN.findall(text):
        if index:
            path.append("*" if index == "*" else int(index))
        else:
            path.append(key or quoted.replace('\\"', '"'))
    return tuple(path)


def render(path: Path) -> str:
    """The reverse of `parse`: `spec.containers[0].env["a.b"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif any(character in step for character in '."[]'):
            escaped = step.replace('"', '\\"')
            text += f'["{escaped}"]'
        else:
            text += f".{step}" if text else step
    return text


def contains(outer: Path, inner: Path) -> bool:
    """Whether `outer` is `inner` or one of its ancestors."""
    return len(outer) <= len(inner) and all(
        a in ("*", b) for a, b in zip(outer, inner, strict=False)
    )


def keep_old(paths: Sequence[str], old: Properties, new: Properties) -> Properties:
    """`new` with the values that `old` has at `paths`: what `ignoreChanges` asks for."""
    for path in paths:
        new = _keep(parse(path), old, new)
    return new


def lookup(path: Path, value: Value) -> Value:
    """The value at `path`, None when there is none. What is inside of a secret is secret."""
    if isinstance(value, Secret):
        return Secret(lookup(path, value.value))
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(value, dict):
        return lookup(rest, value.get(str(key)))
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return lookup(rest, value[key])
    return None


def _keep(path: Path, old: Value, new: Value, secret: bool = False) -> Value:
    """`secret`: whether `old` lies in a secret, and `new` does not."""
    if not path:
        is_plain = old is not _MISSING and not isinstance(old, Secret)
        return Secret(old) if secret and is_plain else old
    if isinstance(new, Secret):
        return Secret(_keep(path, reveal(old), new.value))
    if isinstance(old, Secret):
        old, secret = old.value, True
    key, rest = path[0], path[1:]
    # A path that reaches into something that only one side has cannot be kept, but for its end.
    if isinstance(new, dict) and (isinstance(old, dict) or (not rest and key != "*")):
        olds = old if isinstance(old, dict) else {}
        result = dict(new)
        every = olds if rest else {**olds, **new}
        for name in every if key == "*" else [str(key)]:
            if rest and name not in new:
                continue
            kept = _keep(rest, olds.get(name, _MISSING), new.get(name, _MISSING), secret)
            if kept is _MISSING:
                result.pop(name, None)
            else:
                result[name] = kept
        return result
    if isinstance(new, list) and isinstance(old, list):
        return [
            _keep(rest, old[i], item, secret) if key in ("*", i) and i < len(old) else item
            for i, item in enumerate(new)
        ]
    return new
