"""The admin user in a database that may have users already."""

from typing import Any

import pytest

from tests.unit.release.pod_file import load

admin = load("astro_admin_user")


def user(password: str, email: str = "admin@example.com", **more: Any) -> Any:
    """A user; the hash of a password is its text here."""
    given = {"is_active": True, "is_admin": True, **more}
    return admin.User("admin", email, password_hash=password, **given)


def decide(known: Any, *, is_given: bool = False) -> tuple[str, str]:
    decision = admin.decide(
        "admin", known, lambda password: known.password_hash == password, "the output", is_given
    )
    return decision.action, decision.warning or ""


def test_there_is_none_yet() -> None:
    assert decide(None) == ("create", "")


def test_a_password_that_is_the_output_stays() -> None:
    assert decide(user("the output")) == ("none", "")


def test_admin_admin_of_the_helm_chart_gets_the_output_and_is_told() -> None:
    action, warning = decide(user("admin"))
    assert action == "set password"
    assert "had the password 'admin'" in warning


def test_the_user_of_an_earlier_deployment_gets_the_output() -> None:
    """Its state was lost, or the argument has changed since."""
    assert decide(user("of before", "admin@localhost")) == ("set password", "")


def test_the_account_of_a_person_is_left_alone_and_told() -> None:
    action, warning = decide(user("their own"))
    assert action == "none"
    assert "the output admin_password does not log in" in warning
    assert "auth.admin_password" in warning


def test_a_password_that_the_program_states_is_set() -> None:
    assert decide(user("their own"), is_given=True) == ("set password", "")


@pytest.mark.parametrize(
    ("more", "says"),
    [({"is_active": False}, "is deactivated"), ({"is_admin": False}, "not have the role Admin")],
)
def test_a_user_who_cannot_do_everything_is_told(more: Any, says: str) -> None:
    for password in ("the output", "admin"):
        _, warning = decide(user(password, **more))
        assert says in warning


def test_other_users_with_the_password_of_an_installer_are_told() -> None:
    users = {
        "airflow": user("airflow"),
        "user": user("their own"),
        "admin": user("admin", is_active=False),
    }
    (line,) = admin.known_logins(users, lambda one, password: one.password_hash == password)
    assert line.startswith("The user airflow has the password 'airflow'")


def test_a_password_hash_is_not_shown() -> None:
    assert "secret" not in repr(user("secret"))
