"""Assumptions of a Deployment's pods about their image, which the release Job compares with the image."""

from typing import Any, Final

from astro_pulumi.inputs import computed
from astro_pulumi.spec import DeploymentSpec

_PROVIDER: Final = "apache-airflow-providers-"
_LOG_PROVIDERS: Final = {
    "s3": "amazon",
    "cloudwatch": "amazon",
    "gs": "google",
    "stackdriver": "google",
    "wasb": "microsoft-azure",
    "oss": "alibaba",
    "hdfs": "apache-hdfs",
}


def image_needs(spec: DeploymentSpec) -> dict[str, Any]:
    """Return the Airflow version, the packages with their purposes, and the remedies, as JSON with Outputs.

    Of packages separated by "|", one is enough.
    """
    version = spec.airflow_version
    built = spec.source is not None
    minor = f"{version.major}.{version.minor}"
    return {
        "airflow": minor,
        "declared": str(version),
        "other_airflow": (
            f"requirements.txt or a RUN in the Dockerfile installs another Airflow than FROM has: pin "
            f"apache-airflow=={minor}.* there, or change FROM."
            if built
            else f'Set airflow_version="{{minor}}", or give an image with Airflow {minor}.'
        ),
        "no_airflow": (
            "Start FROM an image with Airflow, and do not change its PATH."
            if built
            else "Give an image with Airflow as `image`."
        ),
        "add": "requirements.txt" if built else "the image",
        "packages": computed(
            lambda folder: {**spec.facts.packages, **_packages(spec), **_log_packages(folder)},
            spec.remote_logging and spec.remote_logging.folder,
        ),
    }


def _packages(spec: DeploymentSpec) -> dict[str, str]:
    """Return the packages that single settings need."""
    found = {}
    metrics = spec.metrics
    if spec.auth.manager == "fab" and spec.facts.auth_managers["fab"]:
        found[f"{_PROVIDER}fab"] = 'auth.manager "fab"'
    if metrics.otel_host is not None:
        found["opentelemetry-exporter-otlp-proto-http"] = "metrics.otel_host"
    if metrics.statsd_host is not None:
        found["statsd"] = "metrics.statsd_host"
    elif metrics.exporter_image is not None:
        found["statsd"] = "metrics.exporter_image"
    if spec.remote_logging and spec.remote_logging.folder is None:
        found[f"{_PROVIDER}elasticsearch"] = "remote_logging.elasticsearch_host"
    return found


def _log_packages(folder: str | None) -> dict[str, str]:
    """Return the packages that the location of task logs needs."""
    provider = _LOG_PROVIDERS.get((folder or "").partition("://")[0])
    return {f"{_PROVIDER}{provider}": f"remote_logging.folder {folder!r}"} if provider else {}
