"""Ensure that the output `admin_password` logs in, also with a database that has users already.

A password is changed only if an earlier release Job created the user, if the program states the password, or
if it is an installer's well-known one. Other accounts stay as they are, and the deploy warns about them.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    HasPassword = Callable[[str], bool]

# Default logins of Airflow's Helm chart, its docker-compose.yaml and Bitnami's images.
KNOWN_LOGINS = {"admin": "admin", "airflow": "airflow", "user": "bitnami"}


@dataclass(frozen=True)
class User:
    """A user of the FAB auth manager."""

    name: str
    email: str
    is_active: bool
    is_admin: bool
    password_hash: str = field(repr=False)


@dataclass(frozen=True)
class Decision:
    """The action for the admin user, and a warning for the user of the Deployment."""

    action: str  # "create", "set password", "none"
    warning: str | None = None


def own_email(username: str) -> str:
    """Return the email address that marks a user as created by a release Job."""
    return f"{username}@localhost"


def decide(
    username: str, user: User | None, has_password: HasPassword, password: str, is_given: bool
) -> Decision:
    """Decide how to make the output `admin_password` log in, or warn that it does not.

    Args:
        username: Name of the admin user.
        user: The user of that name, or None.
        has_password: Returns whether a password is the user's.
        password: The output `admin_password`.
        is_given: Whether the program states the password, as `auth.admin_password`.
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
            f"The user {username} of this database had the password {default!r}. It was replaced by "
            f"the output admin_password. {barred or ''}".strip(),
        )
    return Decision(
        "none",
        f"The database already has a user {username}, whose password was not changed: the output "
        f"admin_password does not log in. To set the password, give auth.admin_password.",
    )


def ensure_admin(
    username: str, password: str, is_given: bool, create: Callable[[], None]
) -> list[str]:
    """Create the admin user or set its password, as `decide` says.

    Args:
        username: Name of the admin user.
        password: The output `admin_password`.
        is_given: Whether the program states the password.
        create: Creates the user with that password.

    Returns:
        Warnings for the user of the Deployment.
    """
    from werkzeug.security import check_password_hash, generate_password_hash

    def has(user: User | None, candidate: str) -> bool:
        with contextlib.suppress(ValueError):  # an unsupported kind of hash
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
    """Return a warning for each other user who still has an installer's well-known password."""
    return [
        f"The user {name} has the password {KNOWN_LOGINS[name]!r}, which is publicly known. Change "
        f"it: airflow "
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
    """Return the users with the given names."""
    from airflow.settings import Session
    from sqlalchemy import text

    with Session() as session:
        rows = session.execute(text(QUERY), {"names": sorted(names)}).fetchall()
    return {
        name: User(name, email, bool(active), bool(is_admin), password)
        for name, email, active, password, is_admin in rows
    }


def set_password_hash(username: str, password_hash: str) -> None:
    """Set the password of a user."""
    from airflow.settings import Session
    from sqlalchemy import text

    with Session() as session:
        session.execute(
            text("UPDATE ab_user SET password = :hash WHERE username = :username"),
            {"hash": password_hash, "username": username},
        )
        session.commit()
