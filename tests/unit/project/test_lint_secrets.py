"""Which names and values the linter takes for secrets."""

import pytest

from astro_pulumi.project.lint.secrets import (
    PRIVATE_KEY,
    credentials,
    is_secret_name,
    is_throwaway,
    looks_generated,
    looks_like_password,
)
from tests.unit.project import broken_projects as examples


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD", "password", "DB_PASSWORD", "dbPassword", "snowflake.password", "API_KEY", "apiKey",
        "access_key", "SECRET", "client_secret", "AUTH_TOKEN", "token", "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__WEBSERVER__SECRET_KEY", "private_key", "PASSPHRASE",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD_FILE", "SECRET_NAME", "TOKENIZERS_PARALLELISM", "AIRFLOW__SECRETS__BACKEND", "compass",
        "bypass", "TOKEN_URL", "KEYBOARD", "primary_key", "AIRFLOW__CORE__FERNET_KEY_SECRET",
        "AIRFLOW__CORE__SQL_ALCHEMY_CONN_SECRET", "password_expiry_days", "author", "monkey", "secrets",
        "mock_api_key", "fake_token", "TEST_PASSWORD",
    ],
)  # fmt: skip
def test_names_of_other_things(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "value", ["Sommer2026!", "hunter2-Hunter2", "p4$$w0rd-X", "t7Gk2pQ9xLw4Zr8NvB3mYc6D"]
)
def test_values_that_may_be_passwords(value: str) -> None:
    assert looks_like_password(value)


@pytest.mark.parametrize(
    "value",
    [
        "password", "postgres", "changeme", "your-password", "<password>", "{{ var.value.x }}", "${TOKEN}",
        "os.environ", "my_secret_name", "MY_SECRET_NAME", "acme/prod/db", "/run/secrets/key", "true", "none",
        "https://auth.acme.com/token", "xxxxxxxxxxxx", "a sentence of words", "EXAMPLEKEY123!a",
        "projects/acme/secrets/db/versions/1", "arn:aws:secretsmanager:eu-west-1:1:secret:x", "12345678",
        "airflow.providers.acme.TokenHook", "%(password)s", "short1!", "fake-auth-token-123", "sales_6ace21",
        "test_api_key_12345", "not-a-Real-key-1!", "My-Password-2024", "change-in-production-2026!A",
    ],
)  # fmt: skip
def test_values_that_are_none(value: str) -> None:
    assert not looks_like_password(value)


def test_generated_values() -> None:
    assert looks_generated("t7Gk2pQ9xLw4Zr8NvB3mYc6D")
    assert looks_generated("0a1b2c3d4e5f60718293a4b5c6d7e8f9")
    assert not looks_generated("Sommer2026!")
    assert not looks_generated("a-name-of-a-secret-in-a-backend")
    assert not looks_generated("postgresql://localhost:5432/airflow1")


@pytest.mark.parametrize(
    ("password", "user", "host", "expected"),
    [
        ("postgres", "postgres", "db.acme.com", True),
        ("etl", "etl", "db.acme.com", True),
        ("superflex1%21", "dynasty1", "db.acme.com", False),
        ("superflex1%21", "dynasty1", "localhost", True),
        ("t7Gk2pQ9xLw4Zr8NvB3mYc6D", "x", "localhost", False),
        ("minioadmin", "", None, True),
    ],
)
def test_passwords_of_local_databases(
    password: str, user: str, host: str | None, expected: bool
) -> None:
    assert is_throwaway(password, user, host) is expected


@pytest.mark.parametrize(
    "text",
    [
        examples.AWS_KEY,
        examples.GITHUB_TOKEN,
        "github" + "_pat_" + "11ABCDEFG0abcdefghijkl_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0",
        "glpat" + "-Ab1Cd2Ef3Gh4Ij5Kl6Mn",
        examples.SLACK_TOKEN,
        "https://hooks.slack" + ".com/services/T01ABCDEF/B02GHIJKL/aB3dE5fG7hI9jK1lM3nO5pQ7",
        "sk" + "_live_4eC39HqLyjWDarjtT1zdp7dc",
        examples.DATABRICKS_TOKEN,
        "sk" + "-proj-" + "aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX2yZ3aB4",
        "SG" + ".aB1cD2eF3gH4iJ5kL6mN7o.aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX2yZ3aB4c",
        "hf" + "_aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
        "pul" + "-0123456789abcdef0123456789abcdef01234567",
        "AccountKey=" + "Ab1/" * 21 + "Cd==",
    ],
)
def test_credentials_are_recognized_by_their_format(text: str) -> None:
    assert len(list(credentials(text.encode()))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "hooks.slack.com/services/T00000000/B00000000/" + "X" * 24,
        "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50u"
        + "SRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    ],
)
def test_public_samples_are_no_credentials(text: str) -> None:
    assert list(credentials(text.encode())) == []


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN RSA PRIVATE KEY-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\r\n",
        "-----BEGIN EC PRIVATE KEY-----\\n",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
        '"-----BEGIN PRIVATE KEY-----"\n    "',
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,0A1B\n\n",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n",
    ],
)
def test_private_keys(text: str) -> None:
    assert PRIVATE_KEY.search((text + examples.KEY_BODY).encode())
    assert not PRIVATE_KEY.search(text.encode())
