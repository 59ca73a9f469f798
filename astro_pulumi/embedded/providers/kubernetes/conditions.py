"""The annotation `pulumi.com/waitFor`: what a program itself wants to be true of an object.

`jsonpath={.status.phase}=Running`, `condition=Ready`, `condition=Ready=False`, or a JSON array of such
expressions. Of JSONPath: fields, `['quoted.fields']`, indexes, `*`, and filters that compare one field
with a string (`[?(@.type=="Ready")]`).
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from astro_pulumi.embedded.providers.kubernetes.objects import (
    WAIT_FOR,
    Object,
    annotation,
    condition,
    dig,
)
from astro_pulumi.errors import ResourceError
from astro_pulumi.kubernetes.metadata import ROLLED_OUT

_STEP: Final = re.compile(
    r"""\.?(?P<field>[A-Za-z_][\w-]*)
      | \[(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\]
      | \[(?P<index>-?\d+)\]
      | \.?(?:\[\*\]|\*)(?P<every>)
      | \[\?\(?@\.(?P<key>[\w.-]+)\s*==\s*(?P<q>['"])(?P<value>.*?)(?P=q)\)?\]""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Expression:
    """One condition, and the text that the user wrote."""

    text: str
    steps: Sequence[re.Match[str]] = ()  # of a JSONPath
    condition: str = ""  # or the type of a condition
    wanted: str = ""

    def holds(self, obj: Object) -> bool:
        """Whether the object satisfies it in its present generation."""
        generation = dig(obj, "metadata", "generation")
        observed = dig(obj, "status", "observedGeneration")
        if generation and observed and observed < generation:
            return False
        if self.condition:
            status = str(condition_ignoring_case(obj, self.condition).get("status", ""))
            return status.lower() == self.wanted.lower()
        values: list[Any] = [obj]
        for step in self.steps:
            values = list(_select(values, step))
        if not values:
            return False
        return not self.wanted or _text(values[0]) == self.wanted


def condition_ignoring_case(obj: Object, type_: str) -> Object:
    """As `objects.condition`; the case of the type does not matter, as with `kubectl wait`."""
    for entry in dig(obj, "status", "conditions") or []:
        if str(entry.get("type", "")).lower() == type_.lower():
            return condition(obj, entry["type"])
    return {}


def wanted_conditions(obj: Object) -> list[Expression]:
    """The object's own conditions; empty when it has none. A clear error for what cannot be read."""
    text = annotation(obj, WAIT_FOR)
    if text == ROLLED_OUT:  # what this engine waits for anyway, and explains better
        return []
    if not text:
        return []
    try:
        listed = json.loads(text)
    except ValueError:
        listed = text
    texts = listed if isinstance(listed, list) else [text]
    return [_parse(str(item)) for item in texts]


def _parse(text: str) -> Expression:
    prefix, _, rest = text.partition("=")
    if prefix == "condition" and rest:
        name, _, wanted = rest.partition("=")
        return Expression(text, condition=name, wanted=wanted or "True")
    match = re.fullmatch(r"\{\s*\$?(.*?)\s*\}(?:=(.+))?", rest)
    if prefix != "jsonpath" or not match:
        raise ResourceError(
            f'annotation {WAIT_FOR}: expected "jsonpath={{.path}}=value" or "condition=Name", got {text!r}'
        )
    steps, position, path = [], 0, match[1]
    while position < len(path):
        step = _STEP.match(path, position)
        if not step or step.end() == position:
            raise ResourceError(
                f"annotation {WAIT_FOR}: cannot read {path[position:]!r} in {text!r}"
            )
        steps.append(step)
        position = step.end()
    return Expression(text, steps=tuple(steps), wanted=match[2] or "")


def _select(values: Iterable[Any], step: re.Match[str]) -> Iterable[Any]:
    field = step["field"] or step["quoted"]
    for value in values:
        if field is not None:
            found = dig(value, field)
            if found is not None:
                yield found
        elif step["index"] is not None:
            found = dig(value, int(step["index"]))
            if found is not None:
                yield found
        else:
            items = value.values() if isinstance(value, dict) else value
            for item in items if isinstance(items, Iterable) and not isinstance(items, str) else ():
                if (
                    step["key"] is None
                    or _text(dig(item, *step["key"].split("."))) == step["value"]
                ):
                    yield item


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
