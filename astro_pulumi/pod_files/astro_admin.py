"""The user whose password is the Deployment's output `admin_password`, also in a database that has users.

Nobody's password is changed in silence, except that of a user whom an earlier release Job has made: there the
output is what counts. An account of a person is left as it is, and the deploy says so.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    HasPassword = Callable[[str], bool]

# What Airflow's Helm chart, its docker-compose.yaml and Bitnami's images make unless they are told otherwise.
KNOWN_LOGINS = {"admin": "admin", "airflow": "airflow", "user": "bitnami"}


@dataclass(frozen=True)
class User:
    """A user of FAB's."""

    name: str
    email: str
    is_active: bool
    is_admin: bool
    password_hash: str = field(repr=False)


@dataclass(frozen=True)
class Decision:
    """What to do about the admin user, and what to tell."""

    action: str  # "create", "set password", "none"
    warning: str | None = None


def own_email(username: str) -> str:
    """Return the address that tells a user whom a release Job has made."""
    return f"{username}@localhost"


def decide(
    username: str, user: User | None, has_password: HasPassword, password: str, is_given: bool
) -> Decision:
    """Decide so that the output logs in, or the deploy says why it does not.

    :param has_password: whether a password is the user's.
    :param password: the output.
    :param is_given: whether the program states it, as auth.admin_password.
    """
    if user is None:
        return Decision("create")
    barred = None
    if not user.is_active:
        barred = f"The user {username} is deactivated: admin_password does not log in."
    elif not user.is_admin:
        barred = f"The user {username} does not have the role Admin."
    if has_password(password):
        return Decision("none", barred)
    if is_given or user.email == own_email(username):
        return Decision("set password", barred)
    default = KNOWN_LOGINS.get(username)
    if default and has_password(default):
        return Decision(
            "set password",
            f"The user {username} of this database had the password {default!r}. It has the one of the "
            f"output admin_password now. {barred or ''}".strip(),
        )
    return Decision(
        "none",
        f"The database has a user {username} already, with a password of its own, which was left as it is: "
        "the output admin_password does not log in. To have it set, give auth.admin_password.",
    )


def ensure_admin(
    username: str, password: str, is_given: bool, create: Callable[[], None]
) -> list[str]:
    """Make the user, or set its password, as `decide` says; -> what to tell the user of the Deployment.

    :param create: makes a user with that password.
    """
    from werkzeug.security import check_password_hash, generate_password_hash

    def has(user: User | None, candidate: str) -> bool:
        with contextlib.suppress(ValueError):  # a hash of a kind that is not known any more
            known = user.password_hash if user else ""
            return bool(known) and check_password_hash(known, candidate)
        return False

    users = read_users({username, *KNOWN_LOGINS})
    user = users.get(username)
    decision = decide(username, user, lambda candidate: has(user, candidate), password, is_given)
    if decision.action == "create":
        create()
    elif decision.action == "set password":
        set_password_hash(username, generate_password_hash(password))
    return [
        *([decision.warning] if decision.warning else []),
        *known_logins(
            {name: one for name, one in users.items() if name != username},
            lambda one, candidate: has(one, candidate),
        ),
    ]


def known_logins(users: Mapping[str, User], has: Callable[[User, str], bool]) -> list[str]:
    """Return a line for each other user who still has the password of an installer."""
    return [
        f"The user {name} has the password {KNOWN_LOGINS[name]!r}, which everyone knows. Change it: airflow "
        f"users reset-password --username {name}"
        for name, user in sorted(users.items())
        if user.is_active and has(user, KNOWN_LOGINS[name])
    ]


QUERY = """
SELECT username, email, active, coalesce(password, ''), EXISTS (
  SELECT 1 FROM ab_user_role JOIN ab_role ON ab_role.id = role_id
  WHERE user_id = ab_user.id AND ab_role.name = 'Admin')
FROM ab_user WHERE username = ANY(:names)
"""


def read_users(names: set[str]) -> dict[str, User]:
    from airflow.settings import Session
    from sqlalchemy import text

    with Session() as session:
        rows = session.execute(text(QUERY), {"names": sorted(names)}).fetchall()
    return {
        name: User(name, email, bool(active), bool(is_admin), password)
        for name, email, active, password, is_admin in rows
    }


def set_password_hash(username: str, password_hash: str) -> None:
    from airflow.settings import Session
    from sqlalchemy import text

    with Session() as session:
        session.execute(
            text("UPDATE ab_user SET password = :hash WHERE username = :username"),
            {"hash": password_hash, "username": username},
        )
        session.commit()
