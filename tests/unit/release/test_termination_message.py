"""What users read of a Job that has failed."""

import pytest

from tests.unit.release.pod_file import load

messages = load("astro_termination_message")


class OperationalError(Exception):
    """As psycopg2 and SQLAlchemy have it."""


def test_a_database_that_crashes_is_named_with_the_phase_and_without_a_traceback() -> None:
    error = type("Wrapped", (OperationalError,), {})(
        "(psycopg2.OperationalError) the database system is in recovery mode\n\n(Background: ...)"
    )
    assert messages.failure_message(error, "check migrations") == (
        "The database failed at: check migrations. When it works again, deploy again.\n"
        "(psycopg2.OperationalError) the database system is in recovery mode"
    )


def test_a_refusal_is_shown_as_it_is() -> None:
    error = messages.ReleaseRefusedError("There is no DAG.")
    assert messages.failure_message(error, "parse DAGs") == "There is no DAG."


def test_any_other_error_is_shown_with_its_place() -> None:
    with pytest.raises(KeyError) as caught:
        dict[str, str]()["lost"]
    text = messages.failure_message(caught.value, "report")
    assert text.startswith("'lost'\n")
    assert "test_termination_message.py" in text
