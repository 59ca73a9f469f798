"""No value of a Deployment's Secrets leaves the cluster in a message."""

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.mock_engine import secrets
from tests.specs import everything
from tests.unit.release.pod_file import load

astro_secret_filter = load("astro_secret_filter")

PASSWORD = "p/w d'ä\"1"
URL = (
    f"postgresql+psycopg2://airflow:{quote(PASSWORD, safe='')}@db.test:5432/airflow?sslmode=require"
)


def cleaned(text: str, *values: str) -> str:
    clean = astro_secret_filter.make_filter(
        {str(number): value for number, value in enumerate(values)}
    )
    result: str = clean(text)
    return result


@pytest.mark.parametrize(
    "shown",
    [
        PASSWORD,
        quote(PASSWORD, safe=""),
        quote(PASSWORD),
        json.dumps({"password": PASSWORD})[14:-2],
        repr(PASSWORD)[1:-1],
        base64.b64encode(PASSWORD.encode()).decode().rstrip("="),
    ],
)
def test_a_password_is_removed_in_every_form_that_logs_show(shown: str) -> None:
    assert cleaned(f"connecting with {shown}!", PASSWORD) == "connecting with ***!"


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        (URL, URL),
        (URL, PASSWORD),
        (URL, quote(PASSWORD, safe="")),
        (URL, base64.b64encode(f"airflow:{PASSWORD}".encode()).decode().rstrip("=")),
        ("redis://:s3cr3t@redis:6379/0", "s3cr3t"),
        ('{"admin": "hunter2222"}', "hunter2222"),
        ('{"conn_type": "aws", "extra": "{\\"aws_secret_access_key\\": \\"AKIA/x\\"}"}', "AKIA/x"),
        ('{"conn_type": "http", "password": "hunter2", "port": 1}', "hunter2"),
        ("http://h/?token=abcd", "abcd"),
        ("aws://?__extra__=%7B%22secret%22%3A+%22abcd%22%7D", "abcd"),
        ("-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n-----END KEY-----", "MIIEvQIBADANBgkq"),
        ("requirepass 0123456789abcdef0123\ndir /data\n", "0123456789abcdef0123"),
        ('"user" "it""s"\n"other" "s3cret"\n', "s3cret"),
        ("with a newline at its end\n", "with a newline at its end"),
    ],
)
def test_the_parts_of_a_value_are_removed(secret: str, shown: str) -> None:
    assert cleaned(f"before {shown} after", secret) == "before *** after"


@pytest.mark.parametrize(
    "text",
    [
        'FATAL: password authentication failed for user "airflow" at db.test:5432',
        "postgres, aws, port 5432",
        "admin logged in",
        "on 1 worker",
    ],
)
def test_what_helps_to_understand_a_line_stays(text: str) -> None:
    values = {
        "url": URL,
        "connection": '{"conn_type": "postgres", "host": "db.test", "port": 5432}',
        "ASTRO_ADMIN_USERNAME": "admin",
        "short": "1",
    }
    assert astro_secret_filter.make_filter(values)(text) == text


def test_the_longest_value_is_removed_as_a_whole() -> None:
    assert cleaned("abcdefgh", "abcd", "abcdefgh") == "***"


def test_a_secret_with_a_colour_in_it_is_found() -> None:
    assert cleaned("hun\x1b[31mter2222\x1b[0m", "hunter2222") == "***"


def test_without_secrets_only_colours_go() -> None:
    assert cleaned("\x1b[31mred\x1b[0m") == "red"


def test_secrets_are_read_as_kubernetes_mounts_them(tmp_path: Path) -> None:
    mounted = tmp_path / "secret-0"
    (mounted / "..2026").mkdir(parents=True)
    (mounted / "..2026" / "password").write_text("hunter2")
    (mounted / "..data").symlink_to("..2026")
    (mounted / "password").symlink_to("..data/password")
    assert astro_secret_filter.read_secrets(tmp_path) == {"secret-0/password": "hunter2"}
    assert astro_secret_filter.read_secrets(tmp_path / "none") == {}


def test_every_value_of_a_deployment_with_every_feature_is_removed() -> None:
    from astro_pulumi.validation import specify

    groups = secrets(specify("analytics", everything()))
    values = {
        f"{group}/{name}": value for group, of in groups.items() for name, value in of.items()
    }
    clean = astro_secret_filter.make_filter(values)
    for name, value in values.items():
        if not name.endswith("USERNAME"):
            assert value not in clean(f"a line with {value} in it"), name
