"""`Deployment`: one Airflow environment in one namespace, from an Astro project. Reads like a deploy."""

import base64
import hashlib
import json
from importlib import resources
from typing import Any, Final, cast

import pulumi
import pulumi_random as random

from astro_pulumi.args import DeploymentArgs
from astro_pulumi.image import build_and_push
from astro_pulumi.kubernetes import airflow, backing
from astro_pulumi.kubernetes.metadata import Manifest, labels, object_name
from astro_pulumi.kubernetes.pods import AirflowEnvironment
from astro_pulumi.kubernetes.resources import KubernetesObject
from astro_pulumi.release import configuration, ledger
from astro_pulumi.release import rollback as rollbacks
from astro_pulumi.release.job import release_job, release_job_rights
from astro_pulumi.release.rollback import (
    Rollback,
    project_hash,
    release_content,
    release_origin,
)
from astro_pulumi.spec import DeploymentSpec, specify

_ADMIN: Final = "admin"


class Deployment(pulumi.ComponentResource):
    """One Airflow environment in one namespace, deployed from an Astro project or a built image."""

    webserver_url: pulumi.Output[str]
    """URL of the Airflow UI: `service.base_url`, else the name of its Service in the cluster."""

    namespace: pulumi.Output[str]
    """Namespace of the Deployment."""

    image: pulumi.Output[str]
    """Reference by digest of the image that every Airflow process runs."""

    airflow_version: pulumi.Output[str]
    """Airflow's version: `3.1` or `2.10.4`."""

    release: pulumi.Output[str]
    """Name of this release's record, a ConfigMap in the namespace."""

    admin_username: pulumi.Output[str]
    """User that may do everything in the Airflow UI."""

    admin_password: pulumi.Output[str]
    """Password of `admin_username`. Secret."""

    def __init__(
        self, name: str, args: DeploymentArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("astro:index:Deployment", name, None, opts)
        rollback = self._find_release_to_restore(name, args)
        if rollback:
            args = cast(DeploymentArgs, rollback.arguments(args))
        spec = self._spec = specify(name, args)

        self.image = self._build_and_push()
        passwords = self._generate_passwords()
        if not rollback:
            self.namespace = self._find_or_make_namespace(name, spec.namespace)
        pull_secret = self._make_pull_secret()
        environment = self._make_environment(passwords)
        database, broker = self._run_backing_services(passwords)
        content = release_content(args, spec, rollback)
        migrated = self._run_release_job(environment, pull_secret, content, database)
        workloads = self._roll_out(environment, pull_secret, [migrated, broker])
        record = self._record_release(args, content, rollback, migrated, workloads)

        self.webserver_url = pulumi.Output.from_input(
            spec.service.base_url
            or pulumi.Output.format(
                "http://{0}.{1}:8080", object_name(name, "webserver"), self.namespace
            )
        )
        self.airflow_version = pulumi.Output.from_input(str(spec.airflow_version))
        self.release = record.object_name
        self.admin_username = pulumi.Output.from_input(_ADMIN)
        self.admin_password = pulumi.Output.secret(passwords["admin"])
        self.register_outputs(
            {
                "webserver_url": self.webserver_url,
                "namespace": self.namespace,
                "image": self.image,
                "airflow_version": self.airflow_version,
                "release": self.release,
                "admin_username": self.admin_username,
                "admin_password": self.admin_password,
            }
        )

    def _build_and_push(self) -> pulumi.Output[str]:
        spec = self._spec
        if spec.source is None:
            return pulumi.Output.from_input(spec.image or "")
        opts = pulumi.ResourceOptions(parent=self)
        return build_and_push(object_name(spec.name, "image"), spec.source, opts).repo_digest

    def _generate_passwords(self) -> dict[str, pulumi.Output[str]]:
        """Made once and kept: a new one would lock out the database or kill every running task.

        No `RandomBytes`, though Fernet wants bytes: its id, which state keeps in plain text, is its
        value. The key is made from a password instead.
        """
        return {
            purpose: random.RandomPassword(
                object_name(self._spec.name, f"{purpose}-password"),
                length=48,
                special=False,
                opts=pulumi.ResourceOptions(parent=self),
            ).result
            for purpose in ("fernet", "jwt", "api", "postgresql", "redis", "admin")
        }

    def _find_release_to_restore(self, name: str, args: DeploymentArgs) -> Rollback | None:
        """The release that `rollback_to` asks for; its record is in the Deployment's namespace."""
        wanted = rollbacks.requested(name, args)
        if wanted is None:
            return None
        self.namespace = self._find_or_make_namespace(name, args.get("namespace"))
        rollback = rollbacks.read(name, wanted, self.namespace, self)
        if warning := rollbacks.downgrade_warning(rollback, args.get("database_downgrade")):
            pulumi.log.warn(f"{name}: {warning}", self)
        return rollback

    def _find_or_make_namespace(
        self, name: str, given: pulumi.Input[str] | None
    ) -> pulumi.Output[str]:
        """An existing one, or one with a random suffix: two stacks may share a cluster."""
        if given is not None:
            return pulumi.Output.from_input(given)
        manifest = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"labels": labels(name, "namespace")},
        }
        made = KubernetesObject(name, manifest, pulumi.ResourceOptions(parent=self))
        return made.object_name

    def _make_pull_secret(self) -> pulumi.Output[str] | None:
        registry = self._spec.registry
        if registry is None or registry.username is None:
            return None

        def docker_config(login: dict[str, Any]) -> str:
            token = base64.b64encode(f"{login['username']}:{login['password']}".encode()).decode()
            server = registry.server or "https://index.docker.io/v1/"
            return json.dumps({"auths": {server: {**login, "auth": token}}})

        config = pulumi.Output.secret(
            {"username": registry.username, "password": registry.password}
        ).apply(docker_config)
        return self._make_secret(
            "registry", {".dockerconfigjson": config}, type="kubernetes.io/dockerconfigjson"
        )

    def _make_environment(self, passwords: dict[str, pulumi.Output[str]]) -> AirflowEnvironment:
        spec = self._spec
        values = {
            **_connection_urls(spec, passwords),
            "fernet_key": passwords["fernet"].apply(_fernet_key),
            "jwt_secret": passwords["jwt"],
            "api_secret_key": passwords["api"],
        }
        secrets = {
            group: self._make_secret(group, {key: values[value] for key, value in named.items()})
            for group, named in spec.facts.secret_settings.items()
        }
        secrets["admin"] = self._make_secret(
            "admin",
            {"ASTRO_ADMIN_USERNAME": _ADMIN, "ASTRO_ADMIN_PASSWORD": passwords["admin"]},
        )
        if spec.secret_environment:
            secrets["user"] = self._make_secret("environment", dict(spec.secret_environment))
        return AirflowEnvironment(
            image=self.image,
            config=self._make("settings", _config_map(spec, airflow.settings(spec))).object_name,
            files=self._make("files", _config_map(spec, _pod_files())).object_name,
            secrets=secrets,
        )

    def _run_backing_services(
        self, passwords: dict[str, pulumi.Output[str]]
    ) -> tuple[KubernetesObject, KubernetesObject]:
        spec = self._spec
        password = self._make_secret("postgresql", {"password": passwords["postgresql"]})
        configuration = self._make_secret(
            "redis", {"redis.conf": passwords["redis"].apply(backing.redis_configuration)}
        )
        for component, port in (
            ("postgresql", backing.POSTGRESQL_PORT),
            ("redis", backing.REDIS_PORT),
        ):
            self._make(component, backing.backing_service(spec, component, port))
        return (
            self._make("postgresql", backing.postgresql(spec, password)),
            self._make("redis", backing.redis(spec, configuration)),
        )

    def _run_release_job(
        self,
        environment: AirflowEnvironment,
        pull_secret: pulumi.Output[str] | None,
        content: str,
        database: KubernetesObject,
    ) -> KubernetesObject:
        rights = [
            self._make(f"release-job-{manifest['kind'].lower()}", manifest)
            for manifest in release_job_rights(self._spec)
        ]
        manifest = release_job(self._spec, environment, pull_secret, content)
        return self._make("release-job", manifest, depends_on=[database, *rights])

    def _record_release(
        self,
        args: DeploymentArgs,
        content: str,
        rollback: Rollback | None,
        job: KubernetesObject,
        workloads: list[KubernetesObject],
    ) -> KubernetesObject:
        """Adds the record to the ledger, and makes it the current one."""
        spec = self._spec
        # Who deploys what commit is a new one each time, and would make every `up` a new release. This
        # object keeps what it was made with; its resource is another one when the content is.
        origin = self._make(
            f"origin-{content}",
            _config_map(spec, release_origin(spec, rollback)),
            ignore_changes=["data"],
        ).data
        findings = job.metadata.apply(ledger.read_findings)
        record = self._make(
            "release",
            ledger.release_record(
                spec.name,
                image=self.image,
                airflow_version=str(spec.airflow_version),
                project_hash=project_hash(spec, rollback),
                configuration=configuration.recorded(args),
                origin=origin,
                findings=findings,
            ),
            depends_on=workloads,
            retain_on_delete=True,
        )
        self._make(
            "current-release",
            ledger.current_release(spec.name, origin=origin, image=self.image, findings=findings),
            depends_on=[record],
        )
        return record

    def _roll_out(
        self,
        environment: AirflowEnvironment,
        pull_secret: pulumi.Output[str] | None,
        after: list[KubernetesObject],
    ) -> list[KubernetesObject]:
        """Every Airflow process at once: faster than one by one, and safe within a version."""
        spec = self._spec
        self._make("webserver", airflow.webserver_service(spec))
        processes = [
            self._make(
                process.component,
                airflow.process_workload(spec, process, environment, pull_secret),
                depends_on=after,
            )
            for process in spec.facts.processes
        ]
        workers = [
            self._make(
                f"worker-{queue.name}",
                airflow.worker_workload(spec, queue, environment, pull_secret),
                depends_on=after,
            )
            for queue in spec.worker_queues
        ]
        return processes + workers

    def _make(
        self,
        component: str,
        manifest: Manifest,
        depends_on: list[KubernetesObject] | None = None,
        retain_on_delete: bool | None = None,
        ignore_changes: list[str] | None = None,
    ) -> KubernetesObject:
        """Makes one object in the Deployment's namespace. Its resource is called `<name>-<component>`."""
        metadata = {**manifest.get("metadata", {}), "namespace": self.namespace}
        return KubernetesObject(
            object_name(self._spec.name, component),
            {**manifest, "metadata": metadata},
            pulumi.ResourceOptions(
                parent=self,
                depends_on=depends_on,
                retain_on_delete=retain_on_delete,
                ignore_changes=ignore_changes,
            ),
        )

    def _make_secret(
        self, component: str, values: dict[str, Any], type: str = "Opaque"
    ) -> pulumi.Output[str]:
        """A Secret with a random suffix, so that its readers roll exactly when it changes."""
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"labels": labels(self._spec.name, component)},
            "type": type,
            "stringData": {key: pulumi.Output.secret(value) for key, value in values.items()},
        }
        return self._make(component, manifest).object_name


def _config_map(spec: DeploymentSpec, data: dict[str, Any]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"labels": labels(spec.name, "settings")},
        "data": data,
    }


def _pod_files() -> dict[str, str]:
    folder = resources.files("astro_pulumi") / "pod_files"
    return {
        file.name: file.read_text()
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.is_file()
    }


def _fernet_key(password: str) -> str:
    """Fernet's key is 32 bytes in url-safe base64; a password of 48 letters and digits holds 285 bits."""
    return base64.urlsafe_b64encode(hashlib.sha256(password.encode()).digest()).decode()


def _connection_urls(
    spec: DeploymentSpec, passwords: dict[str, pulumi.Output[str]]
) -> dict[str, pulumi.Output[str]]:
    database = pulumi.Output.format(
        "{0}:{1}@{2}:{3}/{4}",
        backing.DATABASE_USER,
        passwords["postgresql"],
        object_name(spec.name, "postgresql"),
        backing.POSTGRESQL_PORT,
        backing.DATABASE_NAME,
    )
    redis = object_name(spec.name, "redis")
    return {
        "database_url": pulumi.Output.concat("postgresql+psycopg2://", database),
        "result_backend": pulumi.Output.concat("db+postgresql+psycopg2://", database),
        "broker_url": pulumi.Output.format(
            "redis://:{0}@{1}:{2}/0", passwords["redis"], redis, backing.REDIS_PORT
        ),
    }
