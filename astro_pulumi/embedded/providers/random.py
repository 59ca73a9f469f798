"""pulumi-random: passwords, strings, bytes, ids, integers and UUIDs, kept in state.

Inputs, outputs, defaults and what forces a replacement follow pulumi-random 4.21, which wraps the
Terraform provider `random`.
"""

import base64
import random
import string
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from astro_pulumi.embedded.provider import (
    CheckFailure,
    CheckResult,
    DiffKind,
    DiffResult,
    Log,
    ReadResult,
    Resource,
)
from astro_pulumi.embedded.values import (
    UNKNOWN,
    Properties,
    Secret,
    Value,
    has_unknown,
    reveal,
)
from astro_pulumi.errors import EngineError, ResourceError

_random: Final = random.SystemRandom()
_SPECIAL: Final = "!@#$%&*()-_=+[]{}<>:?"
_CHARACTERS: Final = {
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "numeric": string.digits,
    "special": _SPECIAL,
}
_MINIMA: Final = {kind: f"min{kind.capitalize()}" for kind in _CHARACTERS}
_STRING_DEFAULTS: Final[Properties] = {
    **dict.fromkeys(_CHARACTERS, True),
    "number": True,
    **dict.fromkeys(_MINIMA.values(), 0),
}


@dataclass(frozen=True, slots=True)
class _Kind:
    """One resource type: what it needs, what it makes of it, what of that is secret."""

    required: Sequence[str]
    make: Callable[[Properties], tuple[str, Properties]]
    outputs: Sequence[str]
    defaults: Mapping[str, Any]
    secrets: Sequence[str] = ()
    optional: Sequence[str] = ("keepers",)


def _make_string(inputs: Properties) -> tuple[str, Properties]:
    alphabets = dict(_CHARACTERS)
    if inputs.get("overrideSpecial"):
        alphabets["special"] = inputs["overrideSpecial"]
    wanted = {kind: inputs[kind] for kind in alphabets}
    alphabet = "".join(chars for kind, chars in alphabets.items() if wanted[kind])
    length = int(inputs["length"])
    chosen: list[str] = []
    for kind, minimum in _MINIMA.items():
        chosen += _random.choices(alphabets[kind], k=int(inputs[minimum]))
    if len(chosen) > length:
        raise ResourceError(f"length: {length} is less than what the minima add up to")
    if not alphabet:
        raise ResourceError("at least one of lower, upper, numeric and special must be true")
    chosen += _random.choices(alphabet, k=length - len(chosen))
    _random.shuffle(chosen)
    result = "".join(chosen)
    return result, {"result": result, "id": result}


def _make_password(inputs: Properties) -> tuple[str, Properties]:
    _, outputs = _make_string(inputs)
    outputs["id"] = "none"
    hashed = _bcrypt(outputs["result"])
    return "none", {**outputs, **({"bcryptHash": hashed} if hashed else {})}


def _make_bytes(inputs: Properties) -> tuple[str, Properties]:
    data = _random.randbytes(int(inputs["length"]))
    encoded = base64.b64encode(data).decode()
    return encoded, {"base64": encoded, "hex": data.hex()}


def _make_id(inputs: Properties) -> tuple[str, Properties]:
    data = _random.randbytes(int(inputs["byteLength"]))
    url = base64.urlsafe_b64encode(data).decode().rstrip("=")
    prefix = inputs.get("prefix") or ""
    return url, {
        "b64Std": prefix + base64.b64encode(data).decode(),
        "b64Url": prefix + url,
        "dec": f"{prefix}{int.from_bytes(data)}",
        "hex": prefix + data.hex(),
        "id": url,
    }


def _make_integer(inputs: Properties) -> tuple[str, Properties]:
    low, high = int(inputs["min"]), int(inputs["max"])
    if low > high:
        raise ResourceError(f"min: {low} is more than max, {high}")
    number = _random.randint(low, high)
    return str(number), {"result": number, "id": str(number)}


def _make_uuid(_: Properties) -> tuple[str, Properties]:
    result = str(uuid.uuid4())
    return result, {"result": result, "id": result}


_STRING_OPTIONS: Final = ("keepers", "overrideSpecial", *_STRING_DEFAULTS)
_KINDS: Final = {
    "random:index/randomPassword:RandomPassword": _Kind(
        ["length"],
        _make_password,
        ["result", "bcryptHash", "id"],
        _STRING_DEFAULTS,
        ["result", "bcryptHash"],
        _STRING_OPTIONS,
    ),
    "random:index/randomString:RandomString": _Kind(
        ["length"], _make_string, ["result", "id"], _STRING_DEFAULTS, (), _STRING_OPTIONS
    ),
    "random:index/randomBytes:RandomBytes": _Kind(
        ["length"], _make_bytes, ["base64", "hex"], {}, ["base64", "hex"]
    ),
    "random:index/randomId:RandomId": _Kind(
        ["byteLength"],
        _make_id,
        ["b64Std", "b64Url", "dec", "hex", "id"],
        {},
        (),
        ("keepers", "prefix"),
    ),
    "random:index/randomInteger:RandomInteger": _Kind(
        ["min", "max"], _make_integer, ["result", "id"], {}
    ),
    "random:index/randomUuid:RandomUuid": _Kind([], _make_uuid, ["result", "id"], {}),
}


class RandomProvider:
    """The provider of the package `random`. It has no configuration and talks to nobody."""

    name = "random"
    version = "4.21.4"

    def __init__(self, config: Properties) -> None:
        del config

    def check(
        self, resource: Resource, olds: Properties, news: Properties, random_seed: bytes
    ) -> CheckResult:
        del olds, random_seed
        kind = _kind(resource.type)
        known = {*kind.required, *kind.optional}
        failures = [
            CheckFailure(key, f"missing required property {key!r}")
            for key in kind.required
            if news.get(key) is None
        ]
        failures += [
            CheckFailure(key, f"{resource.type} has no such property")
            for key in news
            if key not in known and not key.startswith("__")
        ]
        # Given under either name, both mean the same; the older one is deprecated.
        if "number" in news and "numeric" in news and news["number"] != news["numeric"]:
            failures.append(CheckFailure("number", "differs from numeric, its newer name"))
        return CheckResult({key: v for key, v in news.items() if v is not None}, failures)

    def diff(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        ignore_changes: Sequence[str],
    ) -> DiffResult:
        del resource, id
        detailed: dict[str, DiffKind] = {}
        for key in sorted({*old_inputs, *news} - {*ignore_changes}):
            old, new = reveal(old_inputs.get(key)), reveal(news.get(key))
            # A default that is now written out, or no longer, changes nothing.
            if new is None and old == reveal(_STRING_DEFAULTS.get(key)):
                continue
            if old is None and new == reveal(old_outputs.get(key)) is not None:
                continue
            if old != new:
                detailed[key] = (
                    "ADD_REPLACE"
                    if old is None
                    else "DELETE_REPLACE"
                    if new is None
                    else "UPDATE_REPLACE"
                )
        return DiffResult(bool(detailed), tuple(detailed), detailed=detailed)

    def create(
        self, resource: Resource, inputs: Properties, timeout: float, preview: bool, log: Log
    ) -> tuple[str, Properties]:
        del timeout, log
        kind = _kind(resource.type)
        plain: Properties = {**kind.defaults, **reveal(inputs)}
        if "numeric" in kind.defaults:
            # Whichever of the two names was used counts.
            both = [inputs[key] for key in ("numeric", "number") if key in inputs]
            plain["numeric"] = plain["number"] = reveal(both[0]) if both else True
        if preview or has_unknown(plain):
            id, made = "", dict[str, Value].fromkeys(kind.outputs, UNKNOWN)
        else:
            id, made = kind.make(plain)
        outputs = {**plain, **made}
        return id, {k: Secret(v) if k in kind.secrets else v for k, v in outputs.items()}

    def update(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        ignore_changes: Sequence[str],
        timeout: float,
        preview: bool,
        log: Log,
    ) -> Properties:
        """Nothing can be changed in place but what does not matter: `diff` replaces."""
        del resource, id, old_inputs, ignore_changes, timeout, preview, log
        return {**old_outputs, **news}

    def read(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties
    ) -> ReadResult | None:
        if not outputs:
            raise ResourceError(
                f"{resource.type} cannot be imported or read by the embedded engine: the Pulumi CLI can"
            )
        return ReadResult(id, inputs, outputs)

    def delete(
        self,
        resource: Resource,
        id: str,
        inputs: Properties,
        outputs: Properties,
        timeout: float,
        log: Log,
    ) -> None:
        """There is nothing outside of state."""

    def cancel(self) -> None:
        """Nothing here waits."""


def _kind(type: str) -> _Kind:
    kind = _KINDS.get(type)
    if kind is None:
        raise EngineError(
            f"the embedded engine does not make {type}, only {', '.join(sorted(_KINDS))}. "
            "Install the Pulumi CLI and run this again: it takes over the stack as it is."
        )
    return kind


def _bcrypt(text: str) -> str | None:
    """The hash that RandomPassword offers beside the password."""
    try:
        import bcrypt  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    return str(bcrypt.hashpw(text.encode()[:72], bcrypt.gensalt(10, b"2a")).decode())
