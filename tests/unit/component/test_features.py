"""What single arguments change of a Deployment."""

from typing import Any

import pulumi
import pytest

import astro_pulumi as astro
from astro_pulumi.kubernetes import embedded_services, services_and_ingress
from tests.mock_engine import RELEASE_JOB_FOUND, Program, deploy, run
from tests.specs import IMAGE, arguments, everything, spec

EXTERNAL = {"host": "db.test", "username": "u", "password": "p"}


def kinds(program: Program) -> set[tuple[str, str]]:
    return {(r.kind, r.name.removeprefix("analytics-")) for r in program}


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ({}, ""),
        ({"scheduler": {"replicas": 2}}, "(here `database` and `broker`) have a single pod"),
        ({"worker_queues": [{"name": "a", "min_count": 2}], "database": EXTERNAL}, "`broker`"),
        (
            {"scheduler": {"replicas": 2}, "database": EXTERNAL, "broker": {"host": "redis.test"}},
            "",
        ),
    ],
)
def test_embedded_services_are_for_small_use(given: dict[str, Any], warned: str) -> None:
    said = embedded_services.replicas_warning(spec(**given))
    assert isinstance(said, str) or said is None
    assert warned in said if said else not warned


@pytest.mark.parametrize("replicas", [2, pulumi.Output.from_input(2)])
def test_the_user_is_warned_of_a_deployment_that_outgrows_its_services(replicas: Any) -> None:
    program = deploy(arguments(scheduler={"replicas": replicas}))
    assert [text for text in program.warnings if "small use" in text]


def test_changing_the_database_is_refused() -> None:
    known = {"analytics-database-kind": {"keepers": {"kind": "embedded"}}}
    with pytest.raises(pulumi.RunError, match="was embedded and would become external") as caught:
        deploy(arguments(database=EXTERNAL), known=known)
    assert "astro-pulumi deploy --confirm-database-change external" in str(caught.value)
    assert "pulumi config set astro:confirmDatabaseChange analytics=external" in str(caught.value)


def test_a_refused_change_of_the_database_reaches_nothing_that_runs() -> None:
    def program() -> None:
        astro.Deployment("analytics", arguments(database=EXTERNAL))

    seen = Program()
    known = {"analytics-database-kind": {"keepers": {"kind": "embedded"}}}
    with pytest.raises(pulumi.RunError):
        run(program, known=known, seen=seen)
    assert seen.resources
    assert "metadata" not in {name for kind, name in kinds(seen) if kind == "Secret"}
    assert not seen.kinds("Job")
    assert [r.name for r in seen.kinds("Deployment")] == ["analytics"]


def test_a_confirmed_change_of_the_database_goes_on() -> None:
    known = {"analytics-database-kind": {"keepers": {"kind": "embedded"}}}
    confirmed = {"astro:confirmDatabaseChange": "external"}
    program = deploy(arguments(database=EXTERNAL), known=known, config=confirmed)
    assert "postgresql" not in {name for _, name in kinds(program)}


def test_a_confirmation_to_one_change_of_the_database_does_not_allow_the_change_back() -> None:
    """Pulumi keeps the configuration, so that the confirmation is still there at the next change."""
    known = {"analytics-database-kind": {"keepers": {"kind": "external"}}}
    confirmed = {"astro:confirmDatabaseChange": "external"}
    with pytest.raises(pulumi.RunError, match="was external and would become embedded"):
        deploy(arguments(), known=known, config=confirmed)


@pytest.fixture(scope="module")
def featured() -> Program:
    """A Deployment with several features that do not touch each other: a deploy takes a while."""
    return deploy(
        arguments(
            registry={"repository": "ghcr.io/acme/a", "pull_secret": "mine"},
            ingress={"host": "a.b", "path": "/c", "tls_secret": "t", "class_name": "nginx"},
            service_account_annotations={"eks.amazonaws.com/role-arn": "arn"},
            log_retention_days=3,
            remote_logging={"elasticsearch_host": "https://u:p@es:9200"},
            metrics={"exporter_image": "exporter", "service_monitor": True},
        )
    )


def test_an_existing_pull_secret_is_used(featured: Program) -> None:
    assert ("Secret", "registry") not in kinds(featured)
    for account in featured.kinds("ServiceAccount"):
        assert account.inputs["imagePullSecrets"] == [{"name": "mine"}]


def test_ingress(featured: Program) -> None:
    ingress = featured.get("analytics-webserver", "Ingress").inputs["spec"]
    assert ingress["tls"] == [{"hosts": ["a.b"], "secretName": "t"}]
    assert featured.result["webserver_url"] == "https://a.b/c"
    webserver = featured.get("analytics-webserver", "Deployment").container
    assert webserver["args"][2:] == ["api-server", "--proxy-headers"]


@pytest.mark.parametrize(
    ("ingress", "url"),
    [
        ({"ip": "192.0.2.7"}, "http://192.0.2.7:8080"),
        ({"ip": "2001:db8::7"}, "http://[2001:db8::7]:8080"),
        ({"hostname": "lb.acme.com", "ip": ""}, "http://lb.acme.com:8080"),
    ],
)
def test_a_load_balancer_has_a_name_or_an_address(ingress: dict[str, str], url: str) -> None:
    assert services_and_ingress.load_balancer_url({"loadBalancer": {"ingress": [ingress]}}) == url


def test_the_url_is_that_of_the_load_balancer() -> None:
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}
    known = {"analytics-webserver": {"status": status}}
    program = deploy(arguments(service={"type": "LoadBalancer"}), known=known)
    assert program.result["webserver_url"] == "http://192.0.2.7:8080"
    annotations = program.get("analytics-webserver", "Service").inputs["metadata"]["annotations"]
    assert "pulumi.com/skipAwait" not in annotations


def test_a_load_balancer_with_a_base_url_is_not_waited_for() -> None:
    service = {"type": "LoadBalancer", "base_url": "https://airflow.acme.com"}
    program = deploy(arguments(service=service))
    assert program.result["webserver_url"] == "https://airflow.acme.com"
    annotations = program.get("analytics-webserver", "Service").inputs["metadata"]["annotations"]
    assert annotations["pulumi.com/skipAwait"] == "true"


def test_without_anything_before_it_the_url_is_the_services() -> None:
    program = deploy(arguments(namespace="data", service={"type": "NodePort"}))
    assert program.result["webserver_url"] == "http://analytics-webserver.data:8080"


def test_airflow_2_is_probed_below_its_base_url() -> None:
    program = deploy(arguments(airflow_version="2.11", ingress={"host": "a.b", "path": "/c"}))
    probe = program.get("analytics-webserver", "Deployment").container["readinessProbe"]
    assert probe["httpGet"]["path"] == "/c/health"


def test_the_simple_auth_manager_gets_the_generated_password() -> None:
    program = deploy(arguments(auth={"manager": "simple"}))
    secret = program.get("analytics-simple-auth", "Secret")
    generated = "password-of-analytics-admin-password"
    assert secret.inputs["stringData"] == {"ASTRO_ADMIN_PASSWORD": generated}
    assert ("Secret", "admin") not in kinds(program), "the release Job makes no user then"
    webserver = program.get("analytics-webserver", "Deployment")
    (writes,) = webserver.pod["initContainers"]
    assert writes["securityContext"]["readOnlyRootFilesystem"] is True
    assert writes["envFrom"] == [{"secretRef": {"name": secret.object_name}}]
    assert secret.object_name not in str(webserver.container), "the process reads the file alone"


def test_replicas_are_spread_and_kept() -> None:
    program = deploy(arguments(webserver={"replicas": 3}))
    constraints = program.get("analytics-webserver", "Deployment").pod["topologySpreadConstraints"]
    assert {one["topologyKey"] for one in constraints} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    assert {one["whenUnsatisfiable"] for one in constraints} == {"ScheduleAnyway"}
    assert ("PodDisruptionBudget", "webserver") in kinds(program)


def test_annotations_of_the_service_account_are_for_all_that_runs_dag_code(
    featured: Program,
) -> None:
    for name in ("analytics-airflow", "analytics-release-job-serviceaccount"):
        account = featured.get(name, "ServiceAccount").inputs["metadata"]
        assert account["annotations"]["eks.amazonaws.com/role-arn"] == "arn"


def test_logs_are_groomed_unless_they_are_kept(featured: Program) -> None:
    kept = deploy(arguments(log_retention_days=0)).get("analytics-scheduler", "Deployment").pod
    assert [container["name"] for container in kept["containers"]] == ["airflow"]
    groomed = featured.get("analytics-scheduler", "Deployment").pod
    assert groomed["containers"][1]["args"][-1] == "3"


def test_a_secret_host_of_elasticsearch_stays_secret(featured: Program) -> None:
    secret = featured.get("analytics-environment", "Secret").inputs["stringData"]
    assert secret["AIRFLOW__ELASTICSEARCH__HOST"] == "https://u:p@es:9200"
    settings = featured.get("analytics-settings", "ConfigMap").inputs["data"]
    assert "AIRFLOW__ELASTICSEARCH__HOST" not in settings


def test_prometheus_finds_the_metrics(featured: Program) -> None:
    """By the way that its operator goes: from the ServiceMonitor to the Service to the pods."""
    monitor, service, exporter = (
        featured.get("analytics-statsd", kind).inputs
        for kind in ("ServiceMonitor", "Service", "Deployment")
    )
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert wanted <= service["metadata"]["labels"].items()
    others = [r.inputs["metadata"]["labels"].items() for r in featured.kinds("Service")]
    assert sum(wanted <= labels for labels in others) == 1
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"]
    template = exporter["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    (port,) = (p for p in service["spec"]["ports"] if p["name"] == endpoint["port"])
    ports = {p["name"]: p["containerPort"] for p in template["spec"]["containers"][0]["ports"]}
    assert ports[port["targetPort"]] == 9102


@pytest.mark.parametrize("version", ["2.7", "2.11", "3.0", "3.3"])
def test_everything_at_once_can_be_previewed(version: str) -> None:
    planned = deploy(
        everything(airflow_version=version, image=pulumi.Output.from_input(IMAGE)), preview=True
    )
    assert planned.result["airflow_version"] == version


def test_what_the_release_job_has_found_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RELEASE_JOB_FOUND, "warnings", ["The database has a user admin already"])
    program = deploy(arguments())
    assert "analytics: The database has a user admin already" in program.warnings
