"""Make the objects of the embedded PostgreSQL and Redis, of those that the user does not bring."""

import pulumi

from astro_pulumi.kubernetes import backing
from astro_pulumi.kubernetes.objects import Objects
from astro_pulumi.kubernetes.resources import KubernetesObject
from astro_pulumi.naming import POSTGRESQL, REDIS
from astro_pulumi.spec import BackingService, DeploymentSpec


def make_database(
    spec: DeploymentSpec,
    objects: Objects,
    password: pulumi.Output[str],
    account: pulumi.Output[str],
) -> list[KubernetesObject]:
    """Run PostgreSQL. Return its workload, nothing for a database of the user."""
    if not isinstance(spec.database, BackingService):
        return []
    secret = objects.make_secret(POSTGRESQL, {"password": password})
    objects.make(POSTGRESQL, backing.postgresql_service(spec))
    manifest = backing.postgresql(spec, spec.database, secret, account)
    made = [objects.make(POSTGRESQL, manifest)]
    if spec.backup_before_downgrade:
        # Without an owner: Kubernetes' garbage collection must not delete dumps.
        objects.make(backing.BACKUPS, backing.backup_claim(spec, spec.database), owned=False)
    return made


def make_broker(
    spec: DeploymentSpec,
    objects: Objects,
    password: pulumi.Output[str],
    account: pulumi.Output[str],
) -> list[KubernetesObject]:
    """Run Redis. Return its workload, nothing for a broker of the user."""
    if not isinstance(spec.broker, BackingService):
        return []
    file = password.apply(backing.redis_configuration)
    secret = objects.make_secret(REDIS, {"redis.conf": file})
    objects.make(REDIS, backing.redis_service(spec))
    return [objects.make(REDIS, backing.redis(spec, spec.broker, secret, account))]
