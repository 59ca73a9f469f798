"""Who may log in, and the key that the database's secrets are encrypted with."""

import base64
import json
from typing import Any

import pulumi
import pytest

from astro_pulumi.errors import ArgumentError
from tests.mock_engine import Program, deploy
from tests.specs import FERNET_KEY, arguments, spec

KEYCLOAK = "airflow.providers.keycloak.auth_manager.keycloak_auth_manager.KeycloakAuthManager"
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
OTHER_KEY = base64.urlsafe_b64encode(b"1" * 32).decode()


def settings(program: Program) -> dict[str, str]:
    found: dict[str, str] = program.get("analytics-settings", "ConfigMap").inputs["data"]
    return found


def secrets(program: Program) -> dict[str, str]:
    """What all Secrets of the Deployment hold."""
    return {k: v for s in program.kinds("Secret") for k, v in s.inputs["stringData"].items()}


@pytest.mark.parametrize("version", ["2.11", "3.3"])
def test_another_auth_manager_has_users_of_its_own(version: str) -> None:
    program = deploy(
        arguments(
            airflow_version=version,
            auth={"manager": KEYCLOAK},
            environment={"AIRFLOW__KEYCLOAK_AUTH_MANAGER__REALM": "acme"},
            secret_environment={"AIRFLOW__KEYCLOAK_AUTH_MANAGER__CLIENT_SECRET": "s3cret"},
        )
    )
    assert settings(program)["AIRFLOW__CORE__AUTH_MANAGER"] == KEYCLOAK
    assert settings(program)["AIRFLOW__KEYCLOAK_AUTH_MANAGER__REALM"] == "acme"
    assert not {"ASTRO_ADMIN_USERNAME", "ASTRO_ADMIN_PASSWORD"} & set(secrets(program))
    assert program.result["admin_username"] is None
    assert program.result["admin_password"] is None
    assert "initContainers" not in program.get("analytics-webserver", "Deployment").pod


@pytest.mark.parametrize(
    ("version", "given", "name"),
    [
        ("3.3", FAB, "fab"),
        ("2.11", FAB, "fab"),
        ("2.8", "airflow.auth.managers.fab.fab_auth_manager.FabAuthManager", "fab"),
        ("3.3", SIMPLE, "simple"),
    ],
)
def test_a_class_path_that_has_a_name_is_as_good_as_it(version: str, given: str, name: str) -> None:
    found = spec(airflow_version=version, auth={"manager": given})
    assert found == spec(airflow_version=version, auth={"manager": name})
    assert found.has_admin


@pytest.mark.parametrize("manager", ["fab", "simple"])
def test_the_admins_password_may_be_given(manager: str) -> None:
    program = deploy(arguments(auth={"manager": manager, "admin_password": "s3same"}))
    assert secrets(program)["ASTRO_ADMIN_PASSWORD"] == "s3same"
    assert program.result["admin_password"] == "s3same"


def test_the_simple_auth_manager_takes_it_from_a_secret() -> None:
    reference = {"secret": "admin", "key": "word"}
    program = deploy(arguments(auth={"manager": "simple", "admin_password_from": reference}))
    webserver = program.get("analytics-webserver", "Deployment")
    (writes,) = webserver.pod["initContainers"]
    (variable,) = writes["env"]
    expected = {"name": "ASTRO_ADMIN_PASSWORD", "valueFrom": {"secretKeyRef": {**named(reference)}}}
    assert variable == expected
    assert expected not in webserver.container["env"]
    assert program.result["admin_password"] is None


def named(reference: dict[str, str]) -> dict[str, str]:
    return {"name": reference["secret"], "key": reference["key"]}


def test_the_password_file_is_written_by_the_init_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    program = deploy(arguments(auth={"manager": "simple"}))
    (writes,) = program.get("analytics-webserver", "Deployment").pod["initContainers"]
    file = tmp_path / "passwords.json"
    python, option, script = writes["args"]
    assert (python, option) == ("python", "-c")
    configured = settings(program)["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]
    assert configured in script
    monkeypatch.setenv("ASTRO_ADMIN_PASSWORD", "p\"'ü")
    exec(script.replace(configured, str(file)))  # noqa: S102 our own
    assert json.loads(file.read_text()) == {"admin": "p\"'ü"}


@pytest.mark.parametrize("argument", ["admin_password", "admin_password_from"])
def test_a_password_for_users_that_we_do_not_make_is_refused(argument: str) -> None:
    value: Any = "x" if argument == "admin_password" else {"secret": "s", "key": "k"}
    with pytest.raises(ArgumentError) as caught:
        spec(auth={"manager": KEYCLOAK, argument: value})
    says = f"auth.{argument}: needs the manager fab or simple: {KEYCLOAK} has users of its own"
    assert str(caught.value) == says


@pytest.mark.parametrize("keys", [FERNET_KEY, f"{OTHER_KEY},{FERNET_KEY}"])
def test_a_fernet_key_may_be_given(keys: str) -> None:
    assert secrets(deploy(arguments(fernet_key=keys)))["AIRFLOW__CORE__FERNET_KEY"] == keys


@pytest.mark.parametrize(
    "key",
    [
        "hunter2hunter2",
        FERNET_KEY[:-1],
        FERNET_KEY + "A",
        "!" * 44,
        base64.urlsafe_b64encode(b"0" * 31).decode(),
        f"{FERNET_KEY},",
        f"{FERNET_KEY};{FERNET_KEY}",
    ],
)
def test_what_fernet_cannot_use_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        spec(fernet_key=key)
    assert str(caught.value).startswith("fernet_key: must be a Fernet key, 32 bytes in url-safe")
    assert key not in str(caught.value)


def test_an_output_is_checked_when_it_is_known() -> None:
    with pytest.raises(pulumi.RunError, match="fernet_key: must be a Fernet key"):
        deploy(arguments(fernet_key=pulumi.Output.secret("hunter2")))
