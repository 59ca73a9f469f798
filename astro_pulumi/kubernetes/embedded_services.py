"""Embedded PostgreSQL and Redis, for trial and small use: one pod each, with a persistent volume."""

from typing import Any, Final

import pulumi

from astro_pulumi.airflow.ports import (
    DATABASE_NAME,
    DATABASE_USER,
    POSTGRESQL_PORT,
    REDIS_PORT,
)
from astro_pulumi.args.embedded_or_external import EmbeddedService
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.labels import SKIP_AWAIT, Manifest, labels, selector
from astro_pulumi.kubernetes.pods import container_security, resources, service_pod
from astro_pulumi.kubernetes.pulumi_resources import KubernetesObject, Objects
from astro_pulumi.kubernetes.services_and_ingress import port, service
from astro_pulumi.naming import POSTGRESQL, REDIS, object_name
from astro_pulumi.pulumi_inputs import computed

BACKUPS: Final = "backups"
_UID: Final = 999  # `postgres` and `redis` in the official images
_RUN: Final = "/var/run/postgresql"
# The volume of a destroyed Deployment has the password of that time. Over the socket PostgreSQL asks for no
# password. It also answers there while the image's entrypoint initializes the database.
_ALTER_ROLE: Final = """\
until printf "ALTER ROLE %s PASSWORD '%s'" "$POSTGRES_USER" "$(cat "$POSTGRES_PASSWORD_FILE")" |
  psql -q -X -U "$POSTGRES_USER" -d "$POSTGRES_DB"; do sleep 0.2; done 2>/dev/null
"""
_PGDATA: Final = "/var/lib/postgresql/data/pgdata"  # a sub-folder: volumes contain lost+found


def replicas_warning(spec: DeploymentSpec) -> pulumi.Input[str | None]:
    """Return a warning if workloads have several replicas and an embedded service has one; otherwise None."""
    services = {
        "database": isinstance(spec.database, EmbeddedService),
        "broker": isinstance(spec.broker, EmbeddedService),
    }
    embedded = [f"`{name}`" for name, is_embedded in services.items() if is_embedded]
    if not embedded:
        return None
    text = (
        f"embedded services (here {' and '.join(embedded)}) have a single pod and no backups. They are for "
        "trial and small use: with several replicas of Airflow's processes, use services of your own"
    )
    counts = [one.replicas for one in spec.workloads.values()]
    counts += [queue.min_count for queue in spec.worker_queues]
    advice: pulumi.Input[str | None] = computed(
        lambda *known: text if max(known) > 1 else None, *counts
    )
    return advice


def make_database(
    spec: DeploymentSpec,
    objects: Objects,
    password: pulumi.Output[str],
    account: pulumi.Output[str],
) -> list[KubernetesObject]:
    """Run PostgreSQL. Return its workload, nothing for a database of the user."""
    if not isinstance(spec.database, EmbeddedService):
        return []
    secret = objects.make_secret(POSTGRESQL, {"password": password})
    objects.make(POSTGRESQL, postgresql_service(spec))
    manifest = postgresql(spec, spec.database, secret, account)
    made = [objects.make(POSTGRESQL, manifest)]
    if spec.backup_before_downgrade:
        # Without an owner: Kubernetes' garbage collection must not delete dumps.
        objects.make(BACKUPS, backup_claim(spec, spec.database), owned=False)
    return made


def make_broker(
    spec: DeploymentSpec,
    objects: Objects,
    password: pulumi.Output[str],
    account: pulumi.Output[str],
) -> list[KubernetesObject]:
    """Run Redis. Return its workload, nothing for a broker of the user."""
    if not isinstance(spec.broker, EmbeddedService):
        return []
    file = password.apply(redis_configuration)
    secret = objects.make_secret(REDIS, {"redis.conf": file})
    objects.make(REDIS, redis_service(spec))
    return [objects.make(REDIS, redis(spec, spec.broker, secret, account))]


def postgresql(
    spec: DeploymentSpec,
    service: EmbeddedService,
    password_secret: Any,
    account: Any,
) -> Manifest:
    """Build PostgreSQL's StatefulSet. `password_secret` is the name of a Secret with the key `password`."""
    container: Manifest = {
        "name": "postgresql",
        "image": service.image,
        "args": ["postgres", "-c", "max_connections=200"],
        "ports": [{"name": "postgresql", "containerPort": POSTGRESQL_PORT}],
        "env": [
            {"name": "POSTGRES_USER", "value": DATABASE_USER},
            {"name": "POSTGRES_DB", "value": DATABASE_NAME},
            {"name": "POSTGRES_PASSWORD_FILE", "value": "/run/secrets/postgresql/password"},
            # Without UTF-8 Airflow's driver fails in every pod.
            {"name": "POSTGRES_INITDB_ARGS", "value": "-E UTF8 --locale=C.UTF-8"},
            {"name": "PGDATA", "value": _PGDATA},
        ],
        "resources": resources(service.resources),
        "securityContext": container_security(),
        "lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", _ALTER_ROLE]}}},
        "volumeMounts": [
            {"name": "data", "mountPath": "/var/lib/postgresql/data"},
            {"name": "run", "mountPath": _RUN},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            {"name": "password", "mountPath": "/run/secrets/postgresql", "readOnly": True},
        ],
        # Over TCP: during the initialization by the entrypoint, PostgreSQL listens on the socket only.
        **_probes(
            ["pg_isready", "-q", "-h", "127.0.0.1", "-U", DATABASE_USER, "-d", DATABASE_NAME]
        ),
    }
    volumes = [
        {"name": "run", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "password", "secret": {"secretName": password_secret, "defaultMode": 0o440}},
    ]
    return _stateful_set(spec, "postgresql", service, container, volumes, account)


def backup_claim(spec: DeploymentSpec, service: EmbeddedService) -> Manifest:
    """Build the claim of the volume for dumps of PostgreSQL. No pod mounts it until a dump is made."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": object_name(spec.name, BACKUPS),
            "labels": labels(spec.name, BACKUPS),
            # Many storage classes provision a volume for its first pod.
            "annotations": SKIP_AWAIT,
        },
        "spec": _claim(service),
    }


def redis(
    spec: DeploymentSpec,
    service: EmbeddedService,
    configuration_secret: Any,
    account: Any,
) -> Manifest:
    """Build Redis' StatefulSet. `configuration_secret` is the name of a Secret with the key `redis.conf`."""
    container: Manifest = {
        "name": "redis",
        "image": service.image,
        "args": ["/etc/redis/redis.conf"],  # the password is in the file: arguments are visible
        "ports": [{"name": "redis", "containerPort": REDIS_PORT}],
        "resources": resources(service.resources),
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            {"name": "configuration", "mountPath": "/etc/redis", "readOnly": True},
        ],
        **_probes(
            [
                "sh",
                "-c",
                'REDISCLI_AUTH="$(sed -n "s/^requirepass //p" /etc/redis/redis.conf)" '
                "redis-cli ping | grep -q PONG",
            ]
        ),
    }
    volumes = [
        {"name": "tmp", "emptyDir": {}},
        {
            "name": "configuration",
            "secret": {"secretName": configuration_secret, "defaultMode": 0o440},
        },
    ]
    return _stateful_set(spec, "redis", service, container, volumes, account)


def redis_configuration(password: str) -> str:
    """Return `redis.conf`. Redis writes to disk each second, so that queued tasks survive the pod."""
    return f"requirepass {password}\ndir /data\nappendonly yes\nappendfsync everysec\n"


def postgresql_service(spec: DeploymentSpec) -> Manifest:
    """Build the Service of PostgreSQL."""
    return service(spec, "postgresql", port("postgresql", POSTGRESQL_PORT))


def redis_service(spec: DeploymentSpec) -> Manifest:
    """Build the Service of Redis."""
    return service(spec, "redis", port("redis", REDIS_PORT))


def _probes(command: list[str]) -> Manifest:
    action: Manifest = {"exec": {"command": command}, "timeoutSeconds": 5}
    return {
        "startupProbe": {**action, "periodSeconds": 1, "failureThreshold": 300},
        "readinessProbe": {**action, "periodSeconds": 10},
        "livenessProbe": {**action, "periodSeconds": 30, "failureThreshold": 5},
    }


def _stateful_set(
    spec: DeploymentSpec,
    component: str,
    service: EmbeddedService,
    container: Manifest,
    volumes: list[Manifest],
    account: Any,
) -> Manifest:
    name = object_name(spec.name, component)
    pod = service_pod(
        spec,
        container,
        account,
        _UID,
        service.placement,
        volumes=volumes,
        terminationGracePeriodSeconds=60,
    )
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "labels": labels(spec.name, component)},
        "spec": {
            "serviceName": name,
            "replicas": 1,
            # With the default, OrderedReady, a pod that never became ready (an image that cannot be
            # pulled) is not replaced by a repaired one: kubernetes/kubernetes issue 67250.
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": selector(spec.name, component)},
            # A changed storage size replaces the StatefulSet, and the data must outlive it. The data is
            # deleted with the namespace.
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Retain",
                "whenScaled": "Retain",
            },
            "template": {
                "metadata": {"labels": labels(spec.name, component)},
                "spec": pod,
            },
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": _claim(service)}],
        },
    }


def _claim(service: EmbeddedService) -> Manifest:
    claim: Manifest = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": service.storage_size}},
    }
    if service.storage_class is not None:
        claim["storageClassName"] = service.storage_class
    return claim
