"""What is refused, and in which words: the argument's path first."""

from typing import Any

import pytest

from astro_pulumi.errors import ArgumentError
from tests.specs import VERSIONS, everything, spec


@pytest.mark.parametrize(
    ("given", "says"),
    [
        # worker queues
        ({"worker_queues": []}, "worker_queues: is empty"),
        ({"worker_queues": [{"name": "A"}]}, "worker_queues[0].name: 'A' must be lower-case"),
        (
            {"worker_queues": [{"name": "a"}, {"name": "a"}]},
            "worker_queues[1].name: there are two queues named 'a'",
        ),
        (
            {"worker_queues": [{"name": "a", "min_count": 3, "max_count": 2}]},
            "worker_queues[0].max_count: must be at least `min_count`, which is 3",
        ),
        (
            {"worker_queues": [{"name": "a", "min_count": 0, "max_count": 2}]},
            "worker_queues[0].min_count: must be at least 1: only KEDA",
        ),
        (
            {"worker_queues": [{"name": "a", "concurrency": 0}]},
            "worker_queues[0].concurrency: must be 1 to 1000, not 0",
        ),
        (
            {"worker_queues": [{"name": "a", "resources": {"limits": {"memory": "2 GB"}}}]},
            "worker_queues[0].resources.limits['memory']: '2 GB' is not a Kubernetes quantity",
        ),
        (
            {"placement": {"tolerations": [{"operator": "Equal"}]}},
            "placement.tolerations[0].key: is required",
        ),
        # settings
        (
            {"environment": {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}},
            "environment['AIRFLOW__CORE__EXECUTOR']: is what the Deployment's pods are built around; it "
            "cannot be set",
        ),
        (
            {"secret_environment": {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "x"}},
            "secret_environment['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN']: is set by the Deployment: "
            "use `database`",
        ),
        (
            {"environment": {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": "x"}},
            "environment['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD']: is set by the Deployment",
        ),
        (
            {"environment": {"AIRFLOW__API_AUTH__JWT_SECRET": "x"}},
            "environment['AIRFLOW__API_AUTH__JWT_SECRET']: is made by the Deployment",
        ),
        (
            {"environment": {"AIRFLOW_CONN_WAREHOUSE": "postgres://u:p@h"}},
            "environment['AIRFLOW_CONN_WAREHOUSE']: may hold a password: use `connections`",
        ),
        (
            {"secret_environment": {"ASTRO_HISTORY_LIMIT": "7"}},
            "secret_environment['ASTRO_HISTORY_LIMIT']: is set by the Deployment: use `history_limit`",
        ),
        ({"environment": {"lower": "x"}}, "environment['lower']: is not a name"),
        ({"environment": {"WITH-DASH": "x"}}, "environment['WITH-DASH']: is not a name"),
        (
            {"environment": {"A": "x"}, "secret_environment": {"A": "y"}},
            "secret_environment['A']: is given in `environment` as well",
        ),
        ({"environment": {"A": 1}}, "environment['A']: must be a string, not a number (1)"),
        ({"connections": {"a-b": {"uri": "x://"}}}, "connections['a-b']: must have a name of"),
        (
            {"connections": {"a": {}}},
            "connections['a'].uri: give either `uri`, or `value_from`, or `type`",
        ),
        (
            {"connections": {"a": {"uri": "x://", "host": "h"}}},
            "connections['a'].host: must not be given with `uri`",
        ),
        (
            {"connections": {"a": {"type": "aws", "extra": "{"}}},
            "connections['a'].extra: is not JSON",
        ),
        ({"variables": {"a b": "x"}}, "variables['a b']: must have a name of"),
        # resources
        (
            {"scheduler": {"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "500m"}}}},
            "scheduler.resources.requests['cpu']: must be at most its limit, which is 500m",
        ),
        (
            {"database": {"resources": {"limits": {"ephemeral_storage": "1Gi"}}}},
            "database.resources.limits['ephemeral_storage']: there is no such resource. There are: cpu",
        ),
        (
            {"scheduler": {"resources": {"requests": {"nvidia.com/gpu": "1"}}}},
            "scheduler.resources.requests['nvidia.com/gpu']: needs a limit as well",
        ),
        (
            {"database": {"url": "postgresql://u:p@h/db", "resources": {}}},
            "database.resources: is of the embedded service",
        ),
        ({"metrics": {"resources": {}}}, "metrics.resources: needs `exporter_image`"),
        # PgBouncer
        ({"pgbouncer": {}}, "pgbouncer.image: is required"),
        (
            {"pgbouncer": {"image": "p", "settings": {"listen_port": "1"}}},
            "pgbouncer.settings['listen_port']: is what the Deployment's pods are built around",
        ),
        (
            {"pgbouncer": {"image": "p", "settings": {"default_pool_size": "1"}}},
            "pgbouncer.settings['default_pool_size']: is set by the Deployment: use `pool_size`",
        ),
        (
            {"pgbouncer": {"image": "p", "settings": {"[databases]": "1"}}},
            "pgbouncer.settings['[databases]']: is not the name of a setting",
        ),
        (
            {"pgbouncer": {"image": "p", "settings": {"pool_mode": "session\nuser = root"}}},
            "pgbouncer.settings['pool_mode']: must be one line",
        ),
        # external services
        (
            {"database": {"url": "mysql://u:p@h/db"}},
            "database.url: must look like postgresql://",
        ),
        ({"database": {"host": "h"}}, "database.username: is required with `host`"),
        (
            {"database": {"url": "postgresql://u:p@h/db", "storage_size": "1Gi"}},
            "database.storage_size: is of the embedded service",
        ),
        ({"database": {"ssl_mode": "require"}}, "database.ssl_mode: is of a service of yours"),
        (
            {"database": {"url": "postgresql://u:p@h/db", "password": "x"}},
            "database.password: must not be given with `url`",
        ),
        ({"broker": {"url": "amqp://h"}}, "broker.url: must look like rediss://"),
        *(
            (
                {"database": {"url": f"postgresql://u:p{mark}s@h/d"}},
                "database.url: has a /, ? or # in its user name or password: write it as %2F",
            )
            for mark in "/?#"
        ),
        (
            {"broker": {"url": "redis://:p?s@h/0"}},
            "broker.url: has a /, ? or # in its user name or password",
        ),
        ({"broker": {"host": "h", "url": "redis://h"}}, "broker.host: must not be given"),
        # registry
        (
            {"registry": {"repository": "ghcr.io/acme/a:1"}},
            "registry.repository: 'ghcr.io/acme/a:1' must not carry a tag",
        ),
        (
            {"registry": {"repository": "a/b", "pull_repository": "A/b"}},
            "registry.pull_repository: 'A/b' must be lower-case",
        ),
        # names that are one for Airflow
        (
            {"connections": {"db": {"uri": "http://h"}, "DB": {"uri": "http://i"}}},
            "connections['DB']: and 'db' differ only in case: Airflow reads both from AIRFLOW_CONN_DB",
        ),
        (
            {"variables": {"Team": "a", "team": "b"}},
            "variables['team']: and 'Team' differ only in case: Airflow reads both from AIRFLOW_VAR_TEAM",
        ),
        # exposure
        ({"service": {"node_port": 31000}}, "service.node_port: needs type NodePort"),
        ({"service": {"base_url": "acme.com"}}, "service.base_url: 'acme.com' is not a URL"),
        ({"ingress": {"host": "a b"}}, "ingress.host: 'a b' is not a host name"),
        ({"ingress": {"host": "a.b", "path": "x"}}, "ingress.path: 'x' must start with /"),
        ({"http_route": {"host": "a.b"}}, "http_route.gateway: is required"),
        (
            {"auth": {"manager": "ldap"}},
            "auth.manager: must be one of fab, simple, or the class path of another auth manager, "
            "not 'ldap'",
        ),
        (
            {"airflow_version": "2.11", "auth": {"manager": "simple"}},
            "auth.manager: must be one of fab, or the class path of another auth manager, not 'simple'",
        ),
        # the rest
        ({"airflow_version": "2.6"}, "airflow_version: 2.6 cannot be deployed; Airflow from 2.7"),
        ({"airflow_version": "4.0"}, "airflow_version: 4.0 cannot be deployed"),
        ({"executor": "celery"}, "executor: there is no such argument"),
        ({"remote_logging": {}}, "remote_logging.folder: give either `folder`"),
        (
            {"remote_logging": {"folder": "wasb://logs@account/path"}},
            "remote_logging.folder: 'wasb://logs@account/path' names an account",
        ),
        (
            {"remote_logging": {"folder": "abfs://logs/path"}},
            "remote_logging.folder: 'abfs://logs/path' is not a folder",
        ),
        (
            {"remote_logging": {"folder": "/logs"}},
            "remote_logging.folder: '/logs' is not a folder such as s3://bucket/path",
        ),
        (
            {"metrics": {"statsd_host": "a", "otel_host": "b"}},
            "metrics.otel_host: must not be given with `statsd_host`",
        ),
        ({"metrics": {"service_monitor": True}}, "metrics.service_monitor: needs"),
        ({"metrics": {"otel_port": 1}}, "metrics.otel_port: needs `otel_host`"),
        (
            {"network_policies": {"webserver_from": ["x"]}},
            "network_policies.webserver_from[0]: must be a mapping",
        ),
        (
            {"service_account_annotations": {"a": 1}},
            "service_account_annotations['a']: must be a string",
        ),
        ({"scheduler": {"replicas": 0}}, "scheduler.replicas: must be 1 to 100, not 0"),
        ({"timeouts": {"rollout": 1.5}}, "timeouts.rollout: must be a whole number, not 1.5"),
        ({"nonsense": 1}, "nonsense: there is no such argument"),
    ],
)
def test_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        spec(**given)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_at_once_is_accepted(version: str) -> None:
    from astro_pulumi.validation import specify

    specify("analytics", everything(airflow_version=version))


def test_numbers_may_be_floats_without_a_fraction() -> None:
    queues = [{"name": "a", "concurrency": 4.0, "min_count": 2.0}]
    (queue,) = spec(worker_queues=queues).worker_queues
    assert (queue.concurrency, queue.min_count) == (4, 2)
    assert isinstance(queue.concurrency, int)


def test_proxies_keep_their_lower_case_names() -> None:
    assert "no_proxy" in spec(environment={"no_proxy": "acme.com"}).environment


def test_the_name_of_a_deployment_leaves_room_for_its_pods() -> None:
    from astro_pulumi.validation import specify
    from tests.specs import arguments

    with pytest.raises(ArgumentError, match="30 are the most"):
        specify("a" * 31, arguments())


@pytest.mark.parametrize(
    ("given", "url", "proxy", "https"),
    [
        ({}, None, False, False),
        ({"service": {"base_url": "http://a.b:1/c/"}}, "http://a.b:1/c", False, False),
        ({"ingress": {"host": "a.b"}}, "http://a.b", True, False),
        (
            {"ingress": {"host": "a.b", "tls_secret": "t", "path": "/c"}},
            "https://a.b/c",
            True,
            True,
        ),
        ({"http_route": {"host": "a.b", "gateway": "g"}}, "https://a.b", True, True),
        ({"service": {"base_url": "https://a.b"}}, "https://a.b", True, True),
    ],
)
def test_base_url_follows_the_exposure(
    given: dict[str, Any], url: str | None, proxy: bool, https: bool
) -> None:
    exposure = spec(**given).exposure
    assert exposure.base_url == url
    assert exposure.behind_proxy is proxy
    assert exposure.over_https is https
