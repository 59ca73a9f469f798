"""Stand-in for the provider `pulumi-resource-random`: passwords and strings, kept in the state.

Inputs, outputs, defaults and the reasons for a replacement follow pulumi-random 4.21. It implements
RandomPassword and RandomString. It refuses other types, functions, `pulumi import` and schemas.
"""

import random
import string
from typing import Final

import bcrypt

from local.pulumi.plugin import ResourceError
from local.pulumi.provider import Kind, Provider, Request, main
from local.pulumi.values import UNKNOWN, Properties, Secret, reveal, texts

_PASSWORD: Final = "random:index/randomPassword:RandomPassword"  # noqa: S105
_STRING: Final = "random:index/randomString:RandomString"
_CHARACTERS: Final = {
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "numeric": string.digits,
    "special": "!@#$%&*()-_=+[]{}<>:?",
}
_MINIMA: Final = {kind: f"min{kind.capitalize()}" for kind in _CHARACTERS}
_DEFAULTS: Final[Properties] = {
    **dict.fromkeys(_CHARACTERS, True),
    "number": True,  # the deprecated name of `numeric`
    **dict.fromkeys(_MINIMA.values(), 0),
}
_INPUTS: Final = ("length", "keepers", "overrideSpecial", *_DEFAULTS)
_random: Final = random.SystemRandom()


class RandomProvider(Provider):
    """The provider of the package `random`, without any external system."""

    name = "random"
    types = (_PASSWORD, _STRING)

    def check(self, request: Request) -> tuple[Properties, dict[str, str]]:
        """Refuse unknown and invalid inputs."""
        news = request.inputs
        refused = {
            key: f"{request.type} has no such property"
            for key in news
            if key not in _INPUTS and not key.startswith("__")
        }
        for key in {"length", *_MINIMA.values()} & news.keys():
            value = reveal(news[key])
            if value != UNKNOWN and not str(value).isdigit():
                refused[key] = "must be a whole number, and not below 0"
        if "length" not in news:
            refused["length"] = "missing required property 'length'"
        if "number" in news and "numeric" in news and news["number"] != news["numeric"]:
            refused["number"] = "differs from numeric, its newer name"
        return news, refused

    def diff(self, request: Request) -> dict[str, Kind]:
        """Return the inputs that differ. Each causes a replacement, except a default that is now explicit."""
        changes: dict[str, Kind] = {}
        for key in {*request.old_inputs, *request.inputs} - {*request.ignore_changes}:
            old, new = reveal(request.old_inputs.get(key)), reveal(request.inputs.get(key))
            if old == new or (new is None and old == _DEFAULTS.get(key)):
                continue
            if old is None and new == reveal(request.old_outputs.get(key)):
                continue
            changed: Kind = "DELETE_REPLACE" if new is None else "UPDATE_REPLACE"
            changes[key] = "ADD_REPLACE" if old is None else changed
        return changes

    def create(self, request: Request) -> tuple[str, Properties]:
        """Generate the random value."""
        inputs = request.inputs
        outputs: Properties = {**_DEFAULTS, **inputs}
        # Either of the two names is accepted.
        outputs["numeric"] = outputs["number"] = inputs.get("numeric", inputs.get("number", True))
        known = not request.preview and UNKNOWN not in texts(outputs)
        result = _make(reveal(outputs)) if known else UNKNOWN
        if request.type == _STRING:
            return (result if known else ""), {**outputs, "result": result, "id": result}
        salt = bcrypt.gensalt(10, b"2a")
        hashed = bcrypt.hashpw(result.encode()[:72], salt).decode() if known else UNKNOWN
        hidden = {"result": Secret(result), "bcryptHash": Secret(hashed)}
        return ("none" if known else ""), {**outputs, **hidden, "id": "none" if known else UNKNOWN}

    def update(self, request: Request) -> Properties:
        """Return the outputs unchanged: every relevant change is a replacement."""
        return {**request.old_outputs, **request.inputs}


def _make(wanted: Properties) -> str:
    alphabets = dict(_CHARACTERS)
    if wanted.get("overrideSpecial"):
        alphabets["special"] = wanted["overrideSpecial"]
    alphabet = "".join(chars for kind, chars in alphabets.items() if wanted[kind])
    length = int(wanted["length"])
    chosen: list[str] = []
    for kind, minimum in _MINIMA.items():
        chosen += _random.choices(alphabets[kind], k=int(wanted[minimum]))
    if len(chosen) > length:
        raise ResourceError(f"length: {length} is less than the sum of the minima")
    if not alphabet:
        raise ResourceError("at least one of lower, upper, numeric and special must be true")
    chosen += _random.choices(alphabet, k=length - len(chosen))
    _random.shuffle(chosen)
    return "".join(chosen)


if __name__ == "__main__":
    main(RandomProvider())
