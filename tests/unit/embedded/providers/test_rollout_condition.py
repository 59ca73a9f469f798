"""The condition that the component puts on workloads is the engine's own wait, in its own words."""

from astro_pulumi.embedded.providers.kubernetes.conditions import wanted_conditions
from astro_pulumi.kubernetes.metadata import ROLLED_OUT


def test_a_rollout_is_waited_for_as_the_engine_always_does() -> None:
    deployment = {"metadata": {"annotations": {"pulumi.com/waitFor": ROLLED_OUT}}}
    assert wanted_conditions(deployment) == []
