"""The programs of `docs/recipes.md`, taken from that page and run with Pulumi's mocks."""

import json
import re
import runpy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import mock_engine
from tests.mock_engine import UNKNOWN, Program, write_project
from tests.unit.cloud_packages import cloud_packages

RECIPES = Path(__file__).parents[2] / "docs" / "recipes.md"
IMAGE = "ghcr.io/acme/analytics@sha256:" + "0" * 64
DATABASE_URL = "postgresql://air:flow@db.acme.com/airflow"
BROKER_URL = "rediss://:flow@redis.acme.com:6379/0"
ECR = "1.dkr.ecr.eu-central-1.amazonaws.com/analytics"
ROLE = "arn:aws:iam::1:role/airflow"
AWS_CONFIGURATION = {"vpc": "vpc-1", "privateSubnets": '["subnet-1"]', "domain": "data.acme.com"}
# What AWS answers, by resource or function.
AWS: dict[str, dict[str, Any]] = {
    "platform": {
        "kubeconfigJson": "{}",
        "nodeSecurityGroupId": "sg-nodes",
        "oidcIssuer": "oidc.eks.test/id/1",
        "oidcProviderArn": "arn:aws:iam::1:oidc-provider/1",
    },
    "airflow-database": {"address": "airflow.rds.test", "port": 5432},
    "airflow-broker": {"primaryEndpointAddress": "airflow.cache.test", "port": 6379},
    "airflow-logs": {"bucket": "airflow-logs-1a2b", "arn": "arn:aws:s3:::airflow-logs-1a2b"},
    "airflow": {"arn": ROLE, "name": "airflow-1a2b"},
    "data": {"zoneId": "Z1"},
    "airflow-ui": {
        "arn": "arn:aws:acm:eu-central-1:1:certificate/1",
        "fqdn": "_1.airflow.data.acme.com",
        "domainValidationOptions": [
            {
                "resourceRecordName": "_1.airflow.data.acme.com",
                "resourceRecordType": "CNAME",
                "resourceRecordValue": "_2.acm-validations.aws",
            }
        ],
    },
    "analytics": {"repositoryUrl": ECR, "registryId": "1"},
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": {
        "userName": "AWS",
        "password": "token-of-ecr",
    },
}


def programs() -> dict[str, str]:
    """The programs of the page by the first word of their heading."""
    found = re.findall(r"^## (\w+).*?^```python\n(.*?)^```", RECIPES.read_text(), re.M | re.S)
    return {heading.lower(): program for heading, program in found}


class Recipe:
    """Runs the programs in a directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(
        self,
        name: str,
        config: Mapping[str, str],
        preview: bool = False,
        known: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Program:
        """Run one; `result` is the URL of its Deployment."""
        path = self.folder / "__main__.py"
        path.write_text(programs()[name])

        def program() -> Any:
            return runpy.run_path(str(path))["analytics"].webserver_url

        of_project = {f"{'' if ':' in key else 'project:'}{key}": config[key] for key in config}
        with cloud_packages():
            return mock_engine.run(program, preview, known, config=of_project)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path / "project")
    return Recipe(tmp_path)


def unknown(value: Any, path: str = "") -> Iterator[str]:
    """Where `value` holds something that the preview does not know, but for the uid of the owner."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key != "ownerReferences":
                yield from unknown(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown(item, f"{path}[{index}]")
    elif UNKNOWN in str(value):
        yield path


def registered(program: Program) -> list[tuple[str, str]]:
    return sorted((resource.type, resource.name) for resource in program)


def variables(program: Program, secret: str) -> dict[str, str]:
    found: dict[str, str] = program.get(f"analytics-{secret}", "Secret").inputs["stringData"]
    return found


def settings(program: Program) -> dict[str, str]:
    found: dict[str, str] = program.get("analytics-settings").inputs["data"]
    return found


def accounts(program: Program, annotation: str) -> dict[str, str]:
    """The service accounts with this annotation, and its value."""
    found = {}
    for account in program.kinds("ServiceAccount"):
        metadata = account.inputs["metadata"]
        if annotation in metadata["annotations"]:
            found[f"{metadata['namespace']}:{metadata['name']}"] = metadata["annotations"][
                annotation
            ]
    return found


def test_every_recipe_has_a_test_or_says_that_it_is_a_sketch() -> None:
    sections = re.split(r"^## ", RECIPES.read_text(), flags=re.M)[1:]
    assert len(sections) == len(programs())
    tested = set(re.findall(r'recipe\.run\("(\w+)"', Path(__file__).read_text()))
    for section in sections:
        heading, _, first_line, *_ = section.splitlines()
        assert heading.split()[0].lower() in tested or first_line.startswith("Sketch"), heading


def test_a_preview_on_eks_does_without_what_aws_will_answer(recipe: Recipe) -> None:
    program = recipe.run("eks", AWS_CONFIGURATION, preview=True)
    ingress = program.get("analytics-webserver", "Ingress")
    certificate = "metadata.annotations.alb.ingress.kubernetes.io/certificate-arn"
    assert certificate in unknown(ingress.inputs)
    assert ingress.inputs["spec"]["rules"][0]["host"] != UNKNOWN
    assert "imageName" in set(unknown(program.get("analytics-image", "Image").inputs))
    assert variables(program, "metadata")["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == UNKNOWN
    assert variables(program, "broker")["AIRFLOW__CELERY__BROKER_URL"] == UNKNOWN
    assert settings(program)["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"] == UNKNOWN
    workers = program.get("analytics-worker-default", "Deployment")
    assert workers.container["image"] == UNKNOWN


def test_an_update_on_eks_registers_what_its_preview_did(recipe: Recipe) -> None:
    preview = recipe.run("eks", AWS_CONFIGURATION, preview=True)
    update = recipe.run("eks", AWS_CONFIGURATION, known=AWS)
    assert registered(update) == registered(preview)
    assert [path for made in update for path in unknown(made.inputs)] == []


def test_airflow_on_eks_uses_what_aws_answered(recipe: Recipe) -> None:
    program = recipe.run("eks", AWS_CONFIGURATION, known=AWS)
    database = variables(program, "metadata")["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert "airflow:password-of-database@airflow.rds.test:5432/airflow?sslmode=require" in database
    broker = variables(program, "broker")["AIRFLOW__CELERY__BROKER_URL"]
    assert broker.startswith("rediss://:password-of-broker@airflow.cache.test:6379/0")
    image = program.get("analytics-image", "Image").inputs
    assert image["imageName"].startswith(f"{ECR}:")
    assert image["registry"]["password"] == "token-of-ecr"
    workers = program.get("analytics-worker-default", "Deployment")
    assert workers.container["image"].startswith(f"{ECR}@sha256:")
    ingress = program.get("analytics-webserver", "Ingress").inputs
    assert ingress["spec"]["rules"][0]["host"] == "airflow.data.acme.com"
    certificate = ingress["metadata"]["annotations"]["alb.ingress.kubernetes.io/certificate-arn"]
    assert certificate == AWS["airflow-ui"]["arn"]
    assert program.result == "https://airflow.data.acme.com"
    folder = settings(program)["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"]
    assert folder == "s3://airflow-logs-1a2b/analytics"


def test_the_load_balancer_on_eks_asks_what_the_readiness_probe_does(recipe: Recipe) -> None:
    program = recipe.run("eks", AWS_CONFIGURATION, known=AWS)
    webserver = program.get("analytics-webserver", "Deployment")
    annotations = program.get("analytics-webserver", "Ingress").inputs["metadata"]["annotations"]
    path = annotations["alb.ingress.kubernetes.io/healthcheck-path"]
    assert path == webserver.container["readinessProbe"]["httpGet"]["path"]


def test_no_token_of_ecr_is_kept_in_the_cluster(recipe: Recipe) -> None:
    program = recipe.run("eks", AWS_CONFIGURATION, known=AWS)
    in_cluster = [made for made in program if made.type.startswith("kubernetes:")]
    assert in_cluster
    assert "token-of-ecr" not in str([made.inputs for made in in_cluster])


def test_the_role_on_eks_trusts_the_accounts_that_have_it(recipe: Recipe) -> None:
    program = recipe.run("eks", AWS_CONFIGURATION, known=AWS)
    found = accounts(program, "eks.amazonaws.com/role-arn")
    assert set(found.values()) == {ROLE}
    policy = json.loads(program.get("airflow", "Role").inputs["assumeRolePolicy"])
    (statement,) = policy["Statement"]
    trusted = statement["Condition"]["StringEquals"]["oidc.eks.test/id/1:sub"]
    assert sorted(trusted) == sorted(f"system:serviceaccount:{account}" for account in found)


GOOGLE_CONFIGURATION = {
    "gcp:project": "acme",
    "location": "EU",
    "image": IMAGE,
    "databaseUrl": DATABASE_URL,
    "brokerUrl": BROKER_URL,
}
GOOGLE: dict[str, dict[str, Any]] = {
    "airflow": {
        "email": "airflow@acme.iam.gserviceaccount.com",
        "member": "serviceAccount:airflow@acme.iam.gserviceaccount.com",
        "name": "projects/acme/serviceAccounts/airflow",
    },
    "airflow-logs": {"name": "airflow-logs-1a2b"},
}


def test_an_update_on_gke_registers_what_its_preview_did(recipe: Recipe) -> None:
    preview = recipe.run("gke", GOOGLE_CONFIGURATION, preview=True)
    update = recipe.run("gke", GOOGLE_CONFIGURATION, known=GOOGLE)
    assert registered(update) == registered(preview)
    folder = "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"
    assert (settings(preview)[folder], settings(update)[folder]) == (
        UNKNOWN,
        "gs://airflow-logs-1a2b/analytics",
    )


def test_google_lets_the_accounts_act_that_are_annotated(recipe: Recipe) -> None:
    program = recipe.run("gke", GOOGLE_CONFIGURATION, known=GOOGLE)
    found = accounts(program, "iam.gke.io/gcp-service-account")
    assert set(found.values()) == {GOOGLE["airflow"]["email"]}
    members = [made.inputs["member"] for made in program.kinds("IAMMember")]
    pool = "serviceAccount:acme.svc.id.goog"
    assert sorted(members) == sorted(f"{pool}[{account.replace(':', '/')}]" for account in found)


def test_the_webserver_on_gke_may_ask_the_metadata_server(recipe: Recipe) -> None:
    program = recipe.run("gke", GOOGLE_CONFIGURATION, known=GOOGLE)
    policy = program.get("analytics-webserver", "NetworkPolicy").inputs["spec"]
    assert "169.254.169.254/32" in str(policy["egress"])


def test_external_secrets_exist_before_what_reads_them(recipe: Recipe) -> None:
    program = recipe.run("external", {"image": IMAGE})
    copied = {made.inputs["metadata"]["name"] for made in program.kinds("ExternalSecret")}
    for kind in ("Deployment", "Job"):
        for made in program.kinds(kind):
            if made.type.startswith("kubernetes:"):
                read = copied & set(re.findall(r"'(?:name|secretName)': '([\w-]+)'", str(made.pod)))
                assert read <= made.dependencies, made.name
    webserver = str(program.get("analytics-webserver", "Deployment").pod)
    assert {name for name in copied if f"'{name}'" in webserver} >= {
        "airflow-database",
        "airflow-keys",
        "airflow-tokens",
        "airflow-connections",
    }


OPENSHIFT_CONFIGURATION = {
    "image": IMAGE,
    "namespace": "data",
    "host": "airflow.apps.acme.com",
    "databaseUrl": DATABASE_URL,
    "brokerUrl": BROKER_URL,
}


def test_no_pod_on_openshift_states_a_user_or_group(recipe: Recipe) -> None:
    program = recipe.run("openshift", OPENSHIFT_CONFIGURATION)
    workloads = [
        made
        for kind in ("Deployment", "Job")
        for made in program.kinds(kind)
        if made.type.startswith("kubernetes:")
    ]
    assert len(workloads) > 5
    for made in workloads:
        stated = re.findall("'(runAsUser|runAsGroup|fsGroup|supplementalGroups)'", str(made.pod))
        assert stated == [], made.name
    assert program.result == "https://airflow.apps.acme.com"
