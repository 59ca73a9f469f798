"""The Jobs that watch a roll-out: each ends when its workloads are ready.

Pulumi itself does not await the workloads (see `NOT_AWAITED`). A failed Job carries the reason into the
diagnostics of `pulumi up`: the image that cannot be pulled, the last log lines of what crashes.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import pulumi

from astro_pulumi.airflow.mounted_pod_files import FILES, ROLLOUT_FILES
from astro_pulumi.airflow.version_differences import Process
from astro_pulumi.args.resources_and_placement import Resources
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.airflow_pods import airflow_pod
from astro_pulumi.kubernetes.config_maps_and_secrets import AirflowEnvironment
from astro_pulumi.kubernetes.jobs import job
from astro_pulumi.kubernetes.labels import Manifest
from astro_pulumi.kubernetes.pods import mount_files
from astro_pulumi.kubernetes.pulumi_resources import KubernetesObject
from astro_pulumi.kubernetes.roles import service_account_with_role
from astro_pulumi.naming import ROLLOUT
from astro_pulumi.pod_files import astro_shared_names
from astro_pulumi.pulumi_inputs import computed

INPUTS: Final = astro_shared_names.PREFIX + "inputs"
_SECRETS: Final = "/run/secrets/rollout"
_RESOURCES: Final = Resources(
    requests={"cpu": "10m", "memory": "64Mi", "ephemeral-storage": "1Mi"},
    limits={"cpu": "500m", "memory": "128Mi", "ephemeral-storage": "100Mi"},
)
# Beyond `timeouts.rollout`, for the start of the Job's own pod.
_START: Final = 120
_RULES: Final[list[Manifest]] = [
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
]
# Groups of generated secrets, which no deploy changes. They are filtered in every stage.
_GENERATED: Final = ("jwt", "api", "admin")


def rollout_job(
    spec: DeploymentSpec,
    environment: AirflowEnvironment,
    workloads: Sequence[Manifest],
    inputs: pulumi.Output[str],
    is_needed: pulumi.Input[bool] = True,
) -> Manifest:
    """Build the Job that watches `workloads`. Pulumi replaces it exactly when `inputs` changes.

    Args:
        spec: The Deployment.
        environment: What its pods read.
        workloads: The workloads.
        inputs: Fingerprint of the inputs of all workloads.
        is_needed: Whether the Job runs a pod. Without one it ends well at once.
    """
    process = Process(component=ROLLOUT, arguments=(), probe=None, reads=(), files=ROLLOUT_FILES)
    pod = airflow_pod(
        spec, process, _RESOURCES, spec.placement, replace(environment, certificates=())
    )
    container = pod["containers"][0]
    del container["args"], container["envFrom"]
    # No init of the image, which may look for a database, and no package that the user has installed.
    container["command"] = ["python", "-ES", f"{FILES}/rollout_job.py"]
    names = [workload["metadata"]["name"] for workload in workloads]
    container["env"] += [
        {"name": astro_shared_names.DEPLOYMENT, "value": spec.name},
        {"name": astro_shared_names.WORKLOADS, "value": json.dumps(names)},
        {"name": astro_shared_names.ROLLOUT_TIMEOUT, "value": computed(str, spec.rollout_timeout)},
    ]
    for volume, sources in secret_volumes(environment, workloads).items():
        mount_files(pod, volume, sources, f"{_SECRETS}/{volume}")
    made = job(spec, ROLLOUT, pod, computed(lambda seconds: seconds + _START, spec.rollout_timeout))
    made["spec"]["completions"] = computed(int, is_needed)
    metadata = made["spec"]["template"]["metadata"]
    metadata["annotations"] = {**metadata.get("annotations", {}), INPUTS: inputs}
    return made


def inputs_hash(workloads: Sequence[Manifest]) -> pulumi.Output[str]:
    """Return the fingerprint of all inputs of `workloads`.

    Inputs only: generation and resourceVersion, which autoscalers change, would run the Job again in a
    deploy that changes nothing. It is no secret, even if somebody gave a secret for an image's name.
    """
    outputs: list[Any] = []
    _dump(workloads, outputs.append)
    # Of a manifest as a whole Pulumi would make an Output for each item inside: three times the cost of all
    # other Outputs of a Deployment.
    known = pulumi.Output.all(*outputs)
    return pulumi.Output.unsecret(known.apply(lambda values: _fingerprint(workloads, values)))


def _fingerprint(workloads: Sequence[Manifest], values: Sequence[Any]) -> str:
    following = iter(values)
    text = _dump(workloads, lambda _: next(following))
    return hashlib.sha256(text.encode()).hexdigest()


def _dump(workloads: Sequence[Manifest], replace_output: Callable[[Any], Any]) -> str:
    """Serialize to JSON. `replace_output` gets each Output, in the same order each time."""
    return json.dumps(list(workloads), sort_keys=True, default=replace_output)


def rollout_role(spec: DeploymentSpec, pull_secret: Any | None) -> list[Manifest]:
    """Build ServiceAccount, Role and RoleBinding of the Jobs: they read, and only what they judge by."""
    return service_account_with_role(spec, ROLLOUT, _RULES, pull_secret)


def begins_after(
    is_upgrade: pulumi.Output[bool], before: Sequence[KubernetesObject]
) -> pulumi.Output[None] | None:
    """Return an Output that is known when the Jobs `before` have ended well.

    It is known at once in a deploy that does not change Airflow's version; None if there is nothing to
    wait for. It carries no dependency on the Jobs: that would hold in every deploy, and a destroy would
    delete the workloads before the string that replaces them (see `interrupted_destroy`). Nobody has to
    wait in a preview, where nothing would be known of an object that does.
    """
    if not before or pulumi.runtime.is_dry_run():
        return None

    async def wait() -> None:
        if await is_upgrade.future():
            await pulumi.Output.all(*(one.id for one in before)).future()

    return pulumi.Output.from_input(wait())


def secret_volumes(
    environment: AirflowEnvironment, workloads: Sequence[Manifest]
) -> dict[str, list[Manifest]]:
    """Return the Secrets whose values must not be in a message: volume -> sources.

    These are what the workloads' pods read, since nothing else can be in their logs. With all Secrets of
    the Deployment a new password of the broker would run the Job of the webserver, which has none.
    """
    found = [source for workload in workloads for source in _read_by(workload)]
    found += [
        {"name": environment.secrets[group]} for group in _GENERATED if group in environment.secrets
    ]
    distinct = {_identity(source): source for source in found}
    # What is missing keeps a workload from starting, which this Job is to say.
    sources = [{**source, "optional": True} for source in distinct.values()]
    whole = [source for source in sources if "items" not in source]
    keys = [source for source in sources if "items" in source]
    return {
        **{f"secret-{number}": [{"secret": source}] for number, source in enumerate(whole)},
        **({"keys": [_numbered(*one) for one in enumerate(keys)]} if keys else {}),
    }


def _numbered(number: int, source: Manifest) -> Manifest:
    """Return a source whose files have names of their own: two Secrets may be read under one name."""
    items = [
        {**item, "path": f"{number}-{item['path'].replace('/', '-')}"} for item in source["items"]
    ]
    return {"secret": {**source, "items": items}}


def _identity(source: Manifest) -> tuple[Any, ...]:
    """Return the Secret, and the keys and files that are read of it. Outputs have no equality."""
    names = [source["name"]]
    for item in source.get("items", ()):
        names += [item["key"], item["path"]]
    return tuple(id(name) if isinstance(name, pulumi.Output) else name for name in names)


def _read_by(workload: Manifest) -> Iterator[Manifest]:
    """Return the Secrets that the pods of a workload read, each whole or the keys that they read of it."""
    pod = workload["spec"]["template"]["spec"]
    for container in (*pod["containers"], *pod.get("initContainers", [])):
        for source in container.get("envFrom", []):
            if "secretRef" in source:
                yield {"name": source["secretRef"]["name"]}
        for variable in container.get("env", []):
            if reference := (variable.get("valueFrom") or {}).get("secretKeyRef"):
                # By the variable's name the filter knows what is only a user's name.
                items = [{"key": reference["key"], "path": variable["name"]}]
                yield {"name": reference["name"], "items": items}
    for volume in pod.get("volumes", []):
        if "secret" in volume:
            yield {"name": volume["secret"]["secretName"]}
        for source in (volume.get("projected") or {}).get("sources", []):
            if "secret" in source:
                yield {
                    key: source["secret"][key]
                    for key in ("name", "items")
                    if key in source["secret"]
                }
