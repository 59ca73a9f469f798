"""What a release keeps of the arguments, and what a rollback takes from it."""

import json
from enum import Enum
from typing import Any

import pulumi

from astro_pulumi.args import DeploymentArgs
from astro_pulumi.release.restored_arguments import NOT_RESTORED, fingerprint, recorded, restored
from tests.mock_engine import run

RESTORED = {
    # A new argument belongs here, or with its reason into NOT_RESTORED.
    "webserver",
    "scheduler",
    "triggerer",
    "dag_processor",
    "worker_queues",
    "termination_grace_period_seconds",
    "environment",
    "autoscaling",
    "pod_template",
    "log_retention_days",
    "dag_deploys",
}


def prepared(args: dict[str, Any]) -> dict[str, Any]:
    """`args` with what functions in it return: Outputs are made while a program runs."""
    return {
        key: {k: v() if callable(v) else v for k, v in value.items()}
        if isinstance(value, dict)
        else value
        for key, value in args.items()
    }


def record(args: dict[str, Any]) -> Any:
    return json.loads(run(lambda: recorded(prepared(args))).result)


def test_every_argument_is_either_restored_or_has_a_reason_not_to_be() -> None:
    undecided = set(DeploymentArgs.__annotations__) - set(NOT_RESTORED) - RESTORED
    assert undecided == set(), "add to RESTORED here, or with the reason to NOT_RESTORED"


def test_a_secret_leaves_only_a_mark() -> None:
    kept = record(
        {
            "environment": {
                "TOKEN": lambda: pulumi.Output.secret("s3cret"),
                "URL": lambda: pulumi.Output.from_input("https://acme.com"),
                "LEVEL": "INFO",
            },
            "registry": {"password": "hunter2"},
            "connections": {"db": "postgres://u:p@h/d"},
        }
    )
    assert kept == {
        "environment": {"TOKEN": {"secret": True}, "URL": "https://acme.com", "LEVEL": "INFO"}
    }


def test_a_mark_is_filled_with_what_the_program_has_there_now() -> None:
    configuration = {"environment": {"TOKEN": {"secret": True}, "GONE": {"secret": True}, "A": "1"}}
    args = restored({"environment": {"TOKEN": "new", "A": "2", "B": "3"}}, configuration)
    assert args == {"environment": {"TOKEN": "new", "A": "1"}}


def test_what_holds_data_and_what_is_reached_stays_as_it_is() -> None:
    now = {"database": {"image": "postgres:17"}, "service": {"type": "NodePort"}, "namespace": "a"}
    assert restored(now, {"worker_queues": [{"name": "old"}]}) == {
        **now,
        "worker_queues": [{"name": "old"}],
    }


def test_an_argument_that_the_release_did_not_have_goes_back_to_its_default() -> None:
    assert restored({"termination_grace_period_seconds": 60}, {}) == {}


def test_the_fingerprint_changes_with_the_content_only() -> None:
    args = {"environment": {"A": "1"}, "history_limit": 7}
    first = content(args, "project")
    assert content({**args, "history_limit": 9}, "project") == first
    assert content({**args, "environment": {"A": "2"}}, "project") != first
    assert content(args, "other project") != first


def content(args: dict[str, Any], source: str) -> Any:
    return run(lambda: fingerprint(recorded(args), source)).result


class Level(Enum):
    HIGH = "high"


def test_the_way_in_which_a_value_is_given_is_no_other_content() -> None:
    """A program in Python has integers and enums, other languages send floats and strings."""
    in_python = {"log_retention_days": 7, "autoscaling": {"type": Level.HIGH}}
    elsewhere = {"log_retention_days": 7.0, "autoscaling": {"type": "high"}}
    assert content(in_python, "project") == content(elsewhere, "project")
    assert record({"worker_queues": [{"min_count": 2.0}]}) == {"worker_queues": [{"min_count": 2}]}
