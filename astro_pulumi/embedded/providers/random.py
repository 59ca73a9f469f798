"""pulumi-random: passwords, strings and bytes, kept in state.

Inputs, outputs, defaults and what forces a replacement follow pulumi-random 4.21, which wraps the
Terraform provider `random`.
"""

import base64
import random
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from astro_pulumi.embedded.provider import (
    CheckFailure,
    CheckResult,
    DiffKind,
    DiffResult,
    Provider,
    ReadResult,
    Request,
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
}


class RandomProvider(Provider):
    """The provider of the package `random`. It has no configuration and talks to nobody."""

    name = "random"
    version = "4.21.4"

    def __init__(self, config: Properties) -> None:
        del config

    def check(self, request: Request) -> CheckResult:
        news, kind = request.inputs, _kind(request.resource.type)
        known = {*kind.required, *kind.optional}
        failures = [
            CheckFailure(key, f"missing required property {key!r}")
            for key in kind.required
            if news.get(key) is None
        ]
        failures += [
            CheckFailure(key, f"{request.resource.type} has no such property")
            for key in news
            if key not in known and not key.startswith("__")
        ]
        failures += [
            CheckFailure(key, "must be a whole number, and not below 0")
            for key in ("length", *_MINIMA.values())
            if (value := reveal(news.get(key))) not in (None, UNKNOWN)
            and not str(value).removesuffix(".0").isdigit()
        ]
        # Given under either name, both mean the same; the older one is deprecated.
        if "number" in news and "numeric" in news and news["number"] != news["numeric"]:
            failures.append(CheckFailure("number", "differs from numeric, its newer name"))
        return CheckResult({key: v for key, v in news.items() if v is not None}, failures)

    def diff(self, request: Request) -> DiffResult:
        old_inputs, news = request.old_inputs, request.inputs
        detailed: dict[str, DiffKind] = {}
        for key in sorted({*old_inputs, *news} - {*request.ignore_changes}):
            old, new = reveal(old_inputs.get(key)), reveal(news.get(key))
            # A default that is now written out, or no longer, changes nothing.
            if new is None and old == reveal(_STRING_DEFAULTS.get(key)):
                continue
            if old is None and new == reveal(request.old_outputs.get(key)) is not None:
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

    def create(self, request: Request) -> tuple[str, Properties]:
        inputs, kind = request.inputs, _kind(request.resource.type)
        plain: Properties = {**kind.defaults, **reveal(inputs)}
        if "numeric" in kind.defaults:
            # Whichever of the two names was used counts.
            both = [inputs[key] for key in ("numeric", "number") if key in inputs]
            plain["numeric"] = plain["number"] = reveal(both[0]) if both else True
        if request.preview or has_unknown(plain):
            id, made = "", dict[str, Value].fromkeys(kind.outputs, UNKNOWN)
        else:
            id, made = kind.make(plain)
        outputs = {**plain, **made}
        return id, {k: Secret(v) if k in kind.secrets else v for k, v in outputs.items()}

    def update(self, request: Request) -> Properties:
        """Nothing can be changed in place but what does not matter: `diff` replaces."""
        return {**request.old_outputs, **request.inputs}

    def read(self, request: Request) -> ReadResult | None:
        if not request.old_outputs:
            raise ResourceError(
                f"{request.resource.type} cannot be imported or read by the embedded engine: the Pulumi "
                "CLI can"
            )
        return ReadResult(request.id, request.inputs, request.old_outputs)

    def delete(self, request: Request) -> None:
        """There is nothing outside of state."""


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
