"""`Deployment`: one Airflow environment in one namespace, from an Astro project. Reads like a deploy."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, cast

import pulumi

from astro_pulumi.airflow.secrets import ADMIN, secret_groups
from astro_pulumi.airflow.services import certificates, pgbouncer_files, service_urls
from astro_pulumi.airflow.settings import settings
from astro_pulumi.args import DeploymentArgs
from astro_pulumi.image import build_and_push
from astro_pulumi.kept import (
    check_database_change,
    docker_config,
    generate_passwords,
)
from astro_pulumi.kubernetes import (
    accounts,
    airflow,
    autoscaling,
    availability,
    backing,
    exposure,
    monitoring,
    network,
    pgbouncer,
)
from astro_pulumi.kubernetes.metadata import Manifest, labels, object_name
from astro_pulumi.kubernetes.pods import AirflowEnvironment
from astro_pulumi.kubernetes.resources import KubernetesObject
from astro_pulumi.release import changes, configuration, ledger
from astro_pulumi.release import rollback as rollbacks
from astro_pulumi.release.job import release_job, release_job_rights
from astro_pulumi.release.overrides import overridden
from astro_pulumi.release.rollback import (
    Rollback,
    project_hash,
    release_content,
    release_origin,
)
from astro_pulumi.spec import BackingService, DeploymentSpec
from astro_pulumi.user_errors import shown_to_the_user
from astro_pulumi.validation import specify


class Deployment(pulumi.ComponentResource):
    """One Airflow environment in one namespace, deployed from an Astro project or a built image."""

    webserver_url: pulumi.Output[str]
    """URL of the Airflow UI: the base URL, else the load balancer's address, else the name of its Service
    in the cluster."""

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
        with shown_to_the_user():
            args = overridden(args)
            rollback = self._find_release_to_restore(name, args)
            if rollback:
                args = cast(DeploymentArgs, rollback.arguments(args))
            spec = self._spec = specify(name, args)
            if rollback:
                rollbacks.require_image(rollback, spec.registry)

        self.image = self._build_and_push()
        passwords = generate_passwords(spec, self)
        if not rollback:
            self.namespace = self._find_or_make_namespace(name, spec.namespace)
        pull_secret = self._find_or_make_pull_secret()
        self._restrict_network()
        urls = service_urls(spec, passwords, self.namespace, check_database_change(spec, self))
        environment = self._make_environment(passwords, urls, pull_secret)
        account = self._make("services", accounts.services_account(spec, pull_secret)).object_name
        database, broker = self._run_backing_services(passwords, account)
        pool = self._pool_connections(urls["plain_database_url"], account, database)
        for manifest in monitoring.metrics_export(spec, account):
            self._make(monitoring.COMPONENT, manifest)
        content = release_content(args, spec, rollback)
        migrated = self._run_release_job(environment, pull_secret, content, database)
        findings = migrated.metadata.apply(ledger.read_findings)
        origin = self._keep_origin(content, rollback)
        title = ledger.title(name, origin, findings)
        self.webserver_url = self._expose_webserver()
        after = [migrated, *broker, *pool]
        workloads = self._roll_out(environment, title, findings, after)
        record = self._record_release(args, rollback, origin, findings, workloads)

        self.airflow_version = pulumi.Output.from_input(str(spec.airflow_version))
        self.release = record.object_name
        self.admin_username = pulumi.Output.from_input(ADMIN)
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
        pushed = build_and_push(object_name(spec.name, "image"), spec.source, opts).repo_digest
        registry = spec.source.registry
        if registry.pull_repository == registry.repository:
            return pushed
        return pushed.apply(lambda image: f"{registry.pull_repository}@{image.rpartition('@')[2]}")

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

    def _find_or_make_pull_secret(self) -> pulumi.Output[str] | None:
        registry = self._spec.registry
        if registry is None:
            return None
        if registry.pull_secret is not None:
            return pulumi.Output.from_input(registry.pull_secret)
        if registry.username is None:
            return None
        return self._make_secret(
            "registry",
            {".dockerconfigjson": docker_config(registry)},
            type="kubernetes.io/dockerconfigjson",
        )

    def _restrict_network(self) -> None:
        for component, policy in network.network_policies(self._spec).items():
            self._make(component, policy)

    def _make_environment(
        self,
        passwords: dict[str, pulumi.Output[str]],
        urls: dict[str, pulumi.Output[str]],
        pull_secret: pulumi.Output[str] | None,
    ) -> AirflowEnvironment:
        spec = self._spec
        groups = secret_groups(spec, passwords, urls)
        config = self._make("settings", _config_map(spec, settings(spec)))
        files = self._make("files", _config_map(spec, _pod_files()))
        account = self._make("airflow", accounts.airflow_account(spec, pull_secret))
        return AirflowEnvironment(
            image=self.image,
            config=config.object_name,
            files=files.object_name,
            secrets={
                group: self._make_secret(_SECRET_NAMES.get(group, group), content)
                for group, content in groups.items()
            },
            service_account=account.object_name,
            certificates=self._make_secret("certificates", given)
            if (given := certificates(spec))
            else None,
            template=spec.pod_template,
            base_path=spec.exposure.base_path,
        )

    def _run_backing_services(
        self, passwords: dict[str, pulumi.Output[str]], account: pulumi.Output[str]
    ) -> tuple[list[KubernetesObject], list[KubernetesObject]]:
        """The embedded PostgreSQL and Redis; nothing for those that the user brings."""
        spec = self._spec
        if warning := backing.warning(spec):
            pulumi.log.warn(f"{spec.name}: {warning}", self)
        database, broker = [], []
        if isinstance(spec.database, BackingService):
            password = self._make_secret("postgresql", {"password": passwords["postgresql"]})
            self._make("postgresql", backing.postgresql_service(spec))
            manifest = backing.postgresql(spec, spec.database, password, account)
            database.append(self._make("postgresql", manifest))
            if spec.backup_before_downgrade:
                self._make(backing.BACKUPS, backing.backup_claim(spec, spec.database))
        if isinstance(spec.broker, BackingService):
            file = passwords["redis"].apply(backing.redis_configuration)
            redis_conf = self._make_secret("redis", {"redis.conf": file})
            self._make("redis", backing.redis_service(spec))
            manifest = backing.redis(spec, spec.broker, redis_conf, account)
            broker.append(self._make("redis", manifest))
        return database, broker

    def _pool_connections(
        self,
        database_url: pulumi.Output[str],
        account: pulumi.Output[str],
        database: list[KubernetesObject],
    ) -> list[KubernetesObject]:
        """PgBouncer, where it is asked for."""
        spec = self._spec
        if spec.pgbouncer is None:
            return []
        component = pgbouncer.COMPONENT
        files = self._make_secret(component, pgbouncer_files(spec, spec.pgbouncer, database_url))
        self._make(component, pgbouncer.pgbouncer_service(spec))
        manifest = pgbouncer.workload(spec, spec.pgbouncer, files, account)
        return [self._make(component, manifest, depends_on=database)]

    def _expose_webserver(self) -> pulumi.Output[str]:
        """Makes what people reach the webserver through; -> its URL."""
        spec = self._spec
        service = self._make("webserver", exposure.webserver_service(spec))
        if spec.exposure.ingress:
            self._make("webserver", exposure.webserver_ingress(spec, spec.exposure.ingress))
        if spec.exposure.http_route:
            self._make("webserver", exposure.webserver_route(spec, spec.exposure.http_route))
        if exposure.url_is_of_load_balancer(spec):
            return service.status.apply(exposure.load_balancer_url)
        within_cluster = pulumi.Output.format(
            "http://{0}.{1}:8080", object_name(spec.name, "webserver"), self.namespace
        )
        return pulumi.Output.from_input(spec.exposure.base_url or within_cluster)

    def _run_release_job(
        self,
        environment: AirflowEnvironment,
        pull_secret: pulumi.Output[str] | None,
        content: str,
        database: list[KubernetesObject],
    ) -> KubernetesObject:
        rights = [
            self._make(f"release-job-{manifest['kind'].lower()}", manifest)
            for manifest in release_job_rights(self._spec, pull_secret)
        ]
        manifest = release_job(self._spec, environment, content)
        return self._make("release-job", manifest, depends_on=[*database, *rights])

    def _keep_origin(
        self, content: str, rollback: Rollback | None
    ) -> pulumi.Output[Mapping[str, str]]:
        """Who deploys which commit, as it was when this content was deployed first.

        It is another commit, person or machine each time, and would make every `up` a new release. This
        object keeps what it was made with; its resource is another one when the content is.
        """
        origin = _config_map(self._spec, release_origin(self._spec, rollback))
        kept = self._make(f"origin-{content}", origin, ignore_changes=["data"])
        return kept.data.apply(MappingProxyType)  # one value for Pulumi, as in `read_findings`

    def _record_release(
        self,
        args: DeploymentArgs,
        rollback: Rollback | None,
        origin: pulumi.Output[Mapping[str, str]],
        findings: pulumi.Output[Mapping[str, Any]],
        workloads: list[KubernetesObject],
    ) -> KubernetesObject:
        """Adds the record to the ledger, and makes it the current one."""
        spec = self._spec
        restored = rollback.release.project if rollback else None
        project = changes.project_in_short(spec, restored)
        record = self._make(
            "release",
            ledger.release_record(
                spec.name,
                image=self.image,
                airflow_version=str(spec.airflow_version),
                project_hash=project_hash(spec, rollback),
                project=project,
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
        self._make(
            changes.COMPONENT,
            changes.content_record(spec, project, findings),
            depends_on=[record],
            hooks=changes.telling_hook(spec.name, self),
        )
        return record

    def _roll_out(
        self,
        environment: AirflowEnvironment,
        title: pulumi.Output[str],
        findings: pulumi.Output[Mapping[str, Any]],
        after: list[KubernetesObject],
    ) -> list[KubernetesObject]:
        """Every Airflow process at once: faster than one by one, and safe within a version.

        To another version of Airflow: the webserver, which the others report to, then they, then the
        workers, which run what the scheduler of their version sends.
        """
        spec = self._spec
        for component, budget in availability.disruption_budgets(spec).items():
            self._make(component, budget)
        is_upgrade = findings.apply(lambda found: bool(found.get("airflowChanged")))
        processes: list[KubernetesObject] = []
        for process in sorted(spec.processes, key=lambda one: one.component != "webserver"):
            webserver = processes[:1]
            manifest = airflow.process_workload(spec, process, environment, title)
            processes.append(
                self._make(process.component, manifest, after, turn=_turn(is_upgrade, webserver))
            )
        workers = [
            self._make(
                f"worker-{queue.name}",
                airflow.worker_workload(spec, queue, environment),
                after,
                turn=_turn(is_upgrade, processes),
            )
            for queue in spec.worker_queues
        ]
        for component, scaler in autoscaling.autoscalers(spec, environment.secrets).items():
            self._make(component, scaler)
        return processes + workers

    def _make(
        self,
        component: str,
        manifest: Manifest,
        depends_on: list[KubernetesObject] | None = None,
        retain_on_delete: bool | None = None,
        ignore_changes: list[str] | None = None,
        turn: pulumi.Output[None] | None = None,
        hooks: pulumi.ResourceHookBinding | None = None,
    ) -> KubernetesObject:
        """Makes one object in the Deployment's namespace. Its resource is called `<name>-<component>`.

        :param turn: what the object waits for, beside what it depends on for good.
        """
        namespace = self.namespace
        if turn is not None:
            namespace = pulumi.Output.all(namespace, turn).apply(lambda known: str(known[0]))
        metadata = {**manifest.get("metadata", {}), "namespace": namespace}
        return KubernetesObject(
            object_name(self._spec.name, component),
            {**manifest, "metadata": metadata},
            pulumi.ResourceOptions(
                parent=self,
                depends_on=depends_on,
                retain_on_delete=retain_on_delete,
                ignore_changes=ignore_changes,
                hooks=hooks,
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


def _turn(
    is_upgrade: pulumi.Output[bool], before: list[KubernetesObject]
) -> pulumi.Output[None] | None:
    """Known when `before` have rolled out; at once in a deploy that does not change Airflow's version.

    No `depends_on`, which would hold in every deploy. Nobody has to wait in a preview, where nothing
    would be known of an object that does.
    """
    if not before or pulumi.runtime.is_dry_run():
        return None

    def wait(needed: bool) -> pulumi.Input[None]:
        ready = pulumi.Output.all(*(one.id for one in before))
        return ready.apply(lambda _: None) if needed else None

    return is_upgrade.apply(wait)


# Secrets that are called otherwise than the group of settings they hold.
_SECRET_NAMES: Final = {"user": "environment"}


def _config_map(spec: DeploymentSpec, data: dict[str, Any]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"labels": labels(spec.name, "settings")},
        "data": data,
    }


@cache
def _pod_files() -> dict[str, str]:
    folder = resources.files("astro_pulumi") / "pod_files"
    return {
        file.name: file.read_text()
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.is_file()
    }
