"""`Deployment`: one Airflow environment in one namespace. Its `__init__` lists the steps of a deploy."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast

import pulumi

from astro_pulumi.airflow.database_and_broker_urls import service_urls
from astro_pulumi.airflow.secret_groups import ADMIN, admin_password
from astro_pulumi.args import DeploymentArgs
from astro_pulumi.errors import as_run_error
from astro_pulumi.generated_secrets import generate_secrets
from astro_pulumi.kubernetes import (
    autoscaling,
    monitoring,
    pgbouncer,
    service_accounts,
    workloads,
)
from astro_pulumi.kubernetes.config_maps_and_secrets import (
    AirflowEnvironment,
    make_environment,
    make_files,
)
from astro_pulumi.kubernetes.disruption_budgets import disruption_budgets
from astro_pulumi.kubernetes.embedded_services import make_broker, make_database, replicas_warning
from astro_pulumi.kubernetes.interrupted_destroy import replacement_trigger
from astro_pulumi.kubernetes.labels import Manifest
from astro_pulumi.kubernetes.namespace import make_namespace
from astro_pulumi.kubernetes.network_policies import network_policies
from astro_pulumi.kubernetes.pulumi_resources import KubernetesObject, Objects
from astro_pulumi.kubernetes.services_and_ingress import (
    webserver_ingress,
    webserver_route,
    webserver_service,
    webserver_url,
)
from astro_pulumi.naming import PGBOUNCER, PYTEST, RELEASE_JOB, ROLLOUT, STATSD
from astro_pulumi.project.tests_archive import missing_tests
from astro_pulumi.project_image import deployed_images
from astro_pulumi.pulumi_inputs import computed
from astro_pulumi.pulumi_version import require_pulumi
from astro_pulumi.release import (
    change_report,
    pytest_job,
    release_job,
    release_records,
    restored_arguments,
    rollout_job,
)
from astro_pulumi.release import rollback as rollbacks
from astro_pulumi.release.database_change import check_database_change, database_kind
from astro_pulumi.release.deploy_flags import DeployFlags
from astro_pulumi.release.rollback import (
    Rollback,
    project_hash,
    release_content,
    release_origin,
)
from astro_pulumi.validation import specify


class Deployment(pulumi.ComponentResource):
    """One Airflow environment in one namespace, deployed from an Astro project or a built image."""

    webserver_url: pulumi.Output[str]
    """URL of the Airflow UI: the base URL, else the load balancer's address, else the name of its Service
    in the cluster."""

    namespace: pulumi.Output[str]
    """Namespace of the Deployment."""

    image: pulumi.Output[str]
    """Reference by digest of the release's image. Every Airflow process runs it; with `dag_deploys`, it runs
    the image that this one adds the DAGs to."""

    airflow_version: pulumi.Output[str]
    """Airflow's version: `3.1` or `2.10.4`."""

    release: pulumi.Output[str]
    """Name of this release's record, a ConfigMap in the namespace."""

    admin_username: pulumi.Output[str | None]
    """User that may do everything in the Airflow UI. Absent if the auth manager has users of its own."""

    admin_password: pulumi.Output[str | None]
    """Password of `admin_username`. Secret. Absent if there is no such user, or an existing Secret has it."""

    def __init__(
        self, name: str, args: DeploymentArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Register the component and the objects of a deploy, step by step."""
        super().__init__("astro:index:Deployment", name, None, opts)
        args, rollback = self._read_arguments(name, args)
        spec, flags = self._spec, self._flags

        restored_pods = rollback.release.pods_image if rollback else None
        self._images = deployed_images(spec, restored_pods, self)
        generated = generate_secrets(spec, self)
        if not rollback:
            self.namespace = self._find_or_make_namespace(name, spec.namespace)
        self._objects = Objects(name, self.namespace, self)
        pull_secret = service_accounts.find_or_make_pull_secret(spec.registry, self._objects)
        for component, policy in network_policies(spec).items():
            self._objects.make(component, policy)
        checked = check_database_change(spec, flags.database_change, self)
        urls = service_urls(spec, generated, self.namespace, checked)
        environment = make_environment(
            spec, self._objects, self._images, generated, urls, pull_secret
        )
        account = self._objects.make(
            "services", service_accounts.services_account(spec, pull_secret)
        ).object_name
        computed(self._warn, replicas_warning(spec))
        database = make_database(spec, self._objects, generated["postgresql"], account)
        broker = make_broker(spec, self._objects, generated["redis"], account)
        self._rollout_role = self._objects.make_service_account_with_role(
            ROLLOUT, rollout_job.rollout_role(spec, pull_secret)
        )
        pool = self._pool_connections(urls["plain_database_url"], account, database, environment)
        for manifest in monitoring.metrics_export(spec, account):
            self._objects.make(STATSD, manifest)
        recorded = restored_arguments.recorded(args)
        content = release_content(recorded, spec, rollback)
        tested = self._run_tests(environment, account) if not rollback else []
        migrated = self._run_release_job(
            environment, pull_secret, content, rollback, [*database, *tested]
        )
        findings = migrated.metadata.apply(release_records.read_findings)
        self._show_warnings(findings)
        origin = self._keep_origin(findings, rollback)
        title = name if spec.dag_deploys else release_records.title(name, origin, findings)
        self.webserver_url = self._expose_webserver()
        rolled_out = self._roll_out(environment, title, findings, [migrated, *broker, *pool])
        record = self._record_release(recorded, rollback, origin, findings, rolled_out)
        self._set_outputs(record, generated)

    def _read_arguments(
        self, name: str, args: DeploymentArgs
    ) -> tuple[DeploymentArgs, Rollback | None]:
        """Validate the arguments and read the project, or find the release to restore.

        Returns:
            The arguments, in a rollback with those of the release, and the rollback.
        """
        with as_run_error():
            require_pulumi()
            flags = self._flags = DeployFlags.read(name)
            rollback = self._find_release_to_restore(name, args)
            if rollback:
                args = cast(DeploymentArgs, rollback.arguments(args))
            without_dags = flags.skip_dag_parse is not None
            spec = self._spec = specify(
                name, args, may_lack_dags=without_dags, restores=rollback is not None
            )
            if rollback:
                rollbacks.require_image(rollback, spec.registry)
            self._tests = None
            if flags.run_tests and spec.source:
                self._tests = missing_tests(spec.source.project)
        return args, rollback

    def _find_release_to_restore(self, name: str, args: DeploymentArgs) -> Rollback | None:
        """Read the release to restore from the Deployment's namespace. None in an ordinary deploy."""
        wanted = rollbacks.requested(name, args)
        if wanted is None:
            return None
        self.namespace = self._find_or_make_namespace(name, args.get("namespace"))
        rollback = rollbacks.read(name, wanted, self.namespace, self)

        def warn(policy: str | None) -> None:
            if warning := rollbacks.downgrade_warning(rollback, policy):
                pulumi.log.warn(f"{name}: {warning}", self)

        computed(warn, args.get("database_downgrade"))
        return rollback

    def _find_or_make_namespace(
        self, name: str, given: pulumi.Input[str] | None
    ) -> pulumi.Output[str]:
        return make_namespace(name, self) if given is None else pulumi.Output.from_input(given)

    def _pool_connections(
        self,
        database_url: pulumi.Output[str],
        account: pulumi.Output[str],
        database: list[KubernetesObject],
        environment: AirflowEnvironment,
    ) -> list[KubernetesObject]:
        """Run PgBouncer if it is given, and the Job that watches it. It starts while the release Job runs.

        Airflow's processes crash without PgBouncer, so that they wait for the Job.
        """
        spec = self._spec
        if spec.pgbouncer is None:
            return []
        component = PGBOUNCER
        files = self._objects.make_secret(
            component, pgbouncer.secret_files(spec, spec.pgbouncer, database_url)
        )
        service = self._objects.make(component, pgbouncer.pgbouncer_service(spec))
        manifest = pgbouncer.workload(spec, spec.pgbouncer, files, account)
        trigger = replacement_trigger(spec.name, component, [service, *database], self)
        made = self._objects.make(component, manifest, depends_on=database, trigger=trigger)
        inputs = rollout_job.inputs_hash([manifest])
        job = rollout_job.rollout_job(spec, environment, [manifest], inputs)
        return [made, self._watch(component, job, [made])]

    def _expose_webserver(self) -> pulumi.Output[str]:
        """Make the Service, Ingress and HTTPRoute of the webserver. Return its URL."""
        spec = self._spec
        service = self._objects.make("webserver", webserver_service(spec))
        if spec.exposure.ingress:
            self._objects.make("webserver", webserver_ingress(spec, spec.exposure.ingress))
        if spec.exposure.http_route:
            self._objects.make("webserver", webserver_route(spec, spec.exposure.http_route))
        return webserver_url(spec, service.status, self.namespace)

    def _run_tests(
        self, environment: AirflowEnvironment, account: pulumi.Output[str]
    ) -> list[KubernetesObject]:
        """Run the project's tests if the stack's configuration asks for it. A rollback has no project."""
        spec = self._spec
        if not self._flags.run_tests:
            return []
        tests = None
        if self._tests is not None:
            manifest = pytest_job.tests_config_map(spec, self._tests)
            tests = self._objects.make("tests", manifest).object_name
        files = spec.facts.pytest_job.files
        environment = replace(environment, files={files.name: make_files(self._objects, files)})
        manifest = pytest_job.pytest_job(spec, environment, account, tests)
        return [self._objects.make(PYTEST, manifest)]

    def _run_release_job(
        self,
        environment: AirflowEnvironment,
        pull_secret: pulumi.Output[str] | None,
        content: pulumi.Output[str],
        rollback: Rollback | None,
        after: list[KubernetesObject],
    ) -> KubernetesObject:
        rights = self._objects.make_service_account_with_role(
            RELEASE_JOB, release_job.release_job_role(self._spec, pull_secret)
        )
        confirmations = self._flags.job_annotations(is_rollback=rollback is not None)
        manifest = release_job.release_job(self._spec, environment, content, confirmations)
        return self._objects.make(
            "release-job",
            manifest,
            depends_on=[*after, *rights],
            ignore_changes=release_job.RAISED_BY_THE_POD,
        )

    def _show_warnings(self, findings: pulumi.Output[Mapping[str, Any]]) -> None:
        """Warn of flags that are ignored, and of what the release Job has found."""
        database = database_kind(self._spec)

        def warn(found: Mapping[str, Any]) -> None:
            ignored = self._flags.warnings(int(found["number"]), database)
            for warning in (*ignored, *found.get("warnings", ())):
                self._warn(warning)

        findings.apply(warn)

    def _keep_origin(
        self, findings: pulumi.Output[Mapping[str, Any]], rollback: Rollback | None
    ) -> pulumi.Output[Mapping[str, str]]:
        """Return who deployed which commit, as it was when the release got its number.

        Commit, person and machine may differ in each `up`, and would make each a new release. The ConfigMap
        ignores changes, and is replaced when the release Job has given a new number: the data of an
        immutable record must not change while its number stays.
        """
        origin = release_origin(self._spec, rollback, self._flags.description)
        number = findings.apply(lambda found: str(found["number"]))
        kept = self._objects.make_config_map(
            "origin", origin, ignore_changes=["data"], replaced_with=number
        )
        return kept.data.apply(MappingProxyType)  # one value for Pulumi, as in `read_findings`

    def _record_release(
        self,
        recorded: pulumi.Output[str],
        rollback: Rollback | None,
        origin: pulumi.Output[Mapping[str, str]],
        findings: pulumi.Output[Mapping[str, Any]],
        rolled_out: list[KubernetesObject],
    ) -> KubernetesObject:
        """Add the record of the release and make it the current one."""
        spec = self._spec
        restored = rollback.release.project if rollback else None
        project = change_report.recorded_project(spec, restored)
        record = self._objects.make(
            "release",
            release_records.release_record(
                spec.name,
                images=self._images,
                airflow_version=str(spec.airflow_version),
                project_hash=project_hash(spec, rollback),
                project=project,
                configuration=recorded,
                origin=origin,
                findings=findings,
            ),
            depends_on=rolled_out,
            retain_on_delete=True,
            owned=False,
        )
        self._objects.make(
            "current-release",
            release_records.current_release(
                spec.name, origin=origin, image=self._images.full, findings=findings
            ),
            depends_on=[record],
        )
        self._objects.make(
            change_report.COMPONENT,
            change_report.content_record(spec, project, findings, self._inputs),
            depends_on=[record],
            hooks=change_report.report_hook(spec.name, self),
        )
        return record

    def _roll_out(
        self,
        environment: AirflowEnvironment,
        title: pulumi.Input[str],
        findings: pulumi.Output[Mapping[str, Any]],
        after: list[KubernetesObject],
    ) -> list[KubernetesObject]:
        """Roll out all Airflow processes at once: faster than one by one, and safe within a version.

        For another version of Airflow, roll out the webserver, which the others report to, then the other
        processes, then the workers, which run what a scheduler of their version sends. Each stage begins
        when the Job that watches the stage before has ended well. One more Job watches all workloads.
        """
        spec = self._spec
        for component, budget in disruption_budgets(spec).items():
            self._objects.make(component, budget)
        is_upgrade = findings.apply(lambda found: bool(found.get("airflowChanged")))
        trigger = replacement_trigger(spec.name, "workloads", after, self)
        stages = workloads.rollout_stages(spec, environment, title)
        *awaited, _last = stages
        manifests = [manifest for of_stage in stages.values() for manifest in of_stage.values()]
        self._inputs = inputs = rollout_job.inputs_hash(manifests)
        made: list[KubernetesObject] = []
        watches: list[KubernetesObject] = []
        for stage, of_stage in stages.items():
            begin = rollout_job.begins_after(is_upgrade, watches[-1:])
            made += [
                self._objects.make(
                    component, manifest, depends_on=after, wait_for=begin, trigger=trigger
                )
                for component, manifest in of_stage.items()
            ]
            if stage in awaited:
                watched = [*of_stage.values()]
                job = rollout_job.rollout_job(spec, environment, watched, inputs, is_upgrade)
                watches.append(self._watch(stage, job, made))
        job = rollout_job.rollout_job(spec, environment, manifests, inputs)
        watches.append(self._watch("workloads", job, made))
        for component, scaler in autoscaling.autoscalers(spec, environment.secrets).items():
            self._objects.make(component, scaler)
        return made + watches

    def _watch(
        self, stage: str, job: Manifest, workloads: list[KubernetesObject]
    ) -> KubernetesObject:
        """Make the Job that ends when the workloads of a stage are ready."""
        rights = self._rollout_role
        return self._objects.make(f"{ROLLOUT}-{stage}", job, depends_on=[*workloads, *rights])

    def _warn(self, text: str | None) -> None:
        if text is not None:
            pulumi.log.warn(f"{self._spec.name}: {text}", self)

    def _set_outputs(
        self, record: KubernetesObject, generated: dict[str, pulumi.Output[str]]
    ) -> None:
        spec = self._spec
        self.image = self._images.full
        self.airflow_version = pulumi.Output.from_input(str(spec.airflow_version))
        self.release = record.object_name
        self.admin_username = pulumi.Output.from_input(ADMIN if spec.has_admin else None)
        self.admin_password = pulumi.Output.secret(admin_password(spec, generated))
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
