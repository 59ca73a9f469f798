"""The fifth Deployment of a program costs the same as the second.

Time and memory are what `python -m bench.many_deployments` measures; here it is what they come from.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pulumi
import pytest

import astro_pulumi as astro
from tests.mock_engine import run, write_project


def cost(count: int, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What a program of `count` Deployments registers, and the Outputs that it makes."""
    made: Counter[str] = Counter()
    track: Any = pulumi.Output._track

    def counted(output: pulumi.Output[Any]) -> None:
        made["outputs"] += 1
        track(output)

    def program() -> None:
        for number in range(count):
            registry = astro.RegistryArgs(repository=f"registry.test/{number}")
            astro.Deployment(
                f"team-{number}", astro.DeploymentArgs(project="project", registry=registry)
            )

    with monkeypatch.context() as patch:
        patch.setattr(pulumi.Output, "_track", counted)
        made["resources"] = len(run(program).resources)
    return made


def test_each_deployment_costs_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path / "project")
    cost(1, monkeypatch)  # what is made once in a process
    one, two, five = (cost(count, monkeypatch) for count in (1, 2, 5))
    each = two - one
    assert five == Counter({key: one[key] + 4 * each[key] for key in one})
    assert each["resources"] > 40
    assert each["outputs"] < 1600, "it was 1513"
