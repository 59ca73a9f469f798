"""Export of Airflow's metrics to Prometheus: a statsd_exporter, its Service, and a ServiceMonitor."""

from typing import Any, Final

from astro_pulumi.airflow.ports import METRICS_PORT, STATSD_PORT
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.labels import Manifest, labels, selector
from astro_pulumi.kubernetes.pods import container_security, resources, service_pod
from astro_pulumi.kubernetes.services_and_ingress import port, service
from astro_pulumi.naming import STATSD, object_name

_NOBODY: Final = 65534


def metrics_export(spec: DeploymentSpec, account: Any) -> list[Manifest]:
    """Build all objects for the Deployment's metrics."""
    if spec.metrics.exporter_image is None:
        return []
    monitor = [_service_monitor(spec)] if spec.metrics.service_monitor else []
    # Airflow sends to the first port, and Prometheus reads from the second.
    ports = port("statsd", STATSD_PORT, protocol="UDP"), port("metrics", METRICS_PORT)
    return [service(spec, STATSD, *ports), _exporter(spec, account), *monitor]


def _exporter(spec: DeploymentSpec, account: Any) -> Manifest:
    """Build the exporter, a single pod, since it keeps the metrics in memory."""
    probe = {"httpGet": {"path": "/-/healthy", "port": METRICS_PORT}}
    container = {
        "name": STATSD,
        "image": spec.metrics.exporter_image,
        "args": [f"--statsd.listen-udp=:{STATSD_PORT}", f"--web.listen-address=:{METRICS_PORT}"],
        "ports": [
            {"name": "statsd", "containerPort": STATSD_PORT, "protocol": "UDP"},
            {"name": "metrics", "containerPort": METRICS_PORT},
        ],
        "resources": resources(spec.metrics.resources),
        "securityContext": container_security(),
        "readinessProbe": {**probe, "periodSeconds": 10},
        "livenessProbe": {**probe, "periodSeconds": 30, "failureThreshold": 5},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": object_name(spec.name, STATSD),
            "labels": labels(spec.name, STATSD),
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": selector(spec.name, STATSD)},
            "template": {
                "metadata": {"labels": labels(spec.name, STATSD)},
                "spec": service_pod(spec, container, account, _NOBODY, spec.metrics.placement),
            },
        },
    }


def _service_monitor(spec: DeploymentSpec) -> Manifest:
    """Build the object that makes the Prometheus operator read the Service."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {
            "name": object_name(spec.name, STATSD),
            "labels": labels(spec.name, STATSD),
        },
        "spec": {
            "selector": {"matchLabels": selector(spec.name, STATSD)},
            "endpoints": [{"port": "metrics"}],
        },
    }
