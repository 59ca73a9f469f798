"""What a Deployment needs of its image, by its arguments."""

import json
from pathlib import Path
from typing import Any

import pytest

from astro_pulumi.release.release_job import image_needs
from astro_pulumi.validation import specify
from tests.mock_engine import deploy, write_project
from tests.specs import IMAGE, VERSIONS, spec


def packages(**arguments: Any) -> dict[str, str]:
    needed: dict[str, str] = image_needs(spec(**arguments))["packages"]
    return needed


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_needs_celery_redis_and_a_driver(version: str) -> None:
    needed = packages(airflow_version=version)
    assert {"apache-airflow-providers-celery", "redis", "psycopg2-binary|psycopg2"} <= needed.keys()
    assert ("asyncpg" in needed) is version.startswith("3")


@pytest.mark.parametrize(
    ("arguments", "package", "purpose"),
    [
        ({}, "apache-airflow-providers-fab", 'auth.manager "fab"'),
        ({"metrics": {"otel_host": "o"}}, "opentelemetry-exporter-otlp-proto-http", "otel_host"),
        ({"metrics": {"statsd_host": "s"}}, "statsd", "metrics.statsd_host"),
        ({"metrics": {"exporter_image": "e:1"}}, "statsd", "metrics.exporter_image"),
        (
            {"remote_logging": {"elasticsearch_host": "http://es:9200"}},
            "apache-airflow-providers-elasticsearch",
            "remote_logging.elasticsearch_host",
        ),
        *(
            (
                {"remote_logging": {"folder": f"{scheme}://logs/a"}},
                f"apache-airflow-providers-{provider}",
                f"remote_logging.folder '{scheme}://logs/a'",
            )
            for scheme, provider in (
                ("s3", "amazon"),
                ("cloudwatch", "amazon"),
                ("gs", "google"),
                ("stackdriver", "google"),
                ("wasb", "microsoft-azure"),
                ("oss", "alibaba"),
                ("hdfs", "apache-hdfs"),
            )
        ),
    ],
)
def test_a_setting_needs_its_package(arguments: Any, package: str, purpose: str) -> None:
    assert purpose in packages(**arguments)[package]


def test_what_is_not_asked_for_is_not_needed() -> None:
    needed = packages(auth={"manager": "simple"})
    assert not [name for name in needed if "fab" in name or "amazon" in name or name == "statsd"]
    # Users are a part of Airflow 2 itself.
    assert "apache-airflow-providers-fab" not in packages(airflow_version="2.7")


def test_the_remedy_is_of_who_makes_the_image(tmp_path: Path) -> None:
    given = image_needs(spec(airflow_version="2.10.4"))
    assert given["airflow"] == "2.10"
    assert given["declared"] == "2.10.4"
    assert 'airflow_version="3.1"' in given["other_airflow"].format(minor="3.1", installed="3.1.5")
    assert given["add"] == "the image"

    write_project(tmp_path)
    args: Any = {"project": str(tmp_path), "registry": {"repository": "ghcr.io/acme/analytics"}}
    built = image_needs(specify("analytics", args))
    assert "requirements.txt or a RUN in the Dockerfile" in built["other_airflow"]
    assert built["add"] == "requirements.txt"


def test_the_release_job_gets_it_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = deploy({"image": IMAGE, "airflow_version": "3.1"})
    job = program.get("analytics-release-job", "Job")
    values = {one["name"]: one.get("value") for one in job.container["env"]}
    assert json.loads(values["ASTRO_IMAGE_NEEDS"]) == image_needs(spec(airflow_version="3.1"))
    # The image's own entry point touches no database before.
    assert values["CONNECTION_CHECK_MAX_COUNT"] == "0"
    assert values["_AIRFLOW_DB_MIGRATE"] == ""
