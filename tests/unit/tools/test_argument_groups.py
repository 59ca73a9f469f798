"""The examples of docs/arguments.md are programs that run."""

from typing import Any

import pytest

import astro_pulumi as astro
from tests.mock_engine import deploy
from tests.specs import arguments
from tools.argument_groups import GROUPS, Group


class Config:
    """The configuration of the stack in the examples."""

    def require_secret(self, key: str) -> str:
        return f"value of {key}"


def given(group: Group) -> dict[str, Any]:
    return dict(eval(f"dict({group.example})", {"astro": astro, "config": Config()}))  # noqa: S307


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.title)
def test_an_example_is_of_its_group(group: Group) -> None:
    assert given(group).keys() <= set(group.arguments)


@pytest.mark.parametrize("group", GROUPS[1:], ids=lambda group: group.title)
def test_an_example_can_be_deployed(group: Group) -> None:
    """The first one needs a project; the README's program is the same."""
    assert deploy(arguments(**given(group))).get("analytics-scheduler", "Deployment")
