"""When an object is ready: pure functions from an object, as it is now, to a verdict.

The rules are pulumi-kubernetes', read off the status that the controllers keep. Two are stricter or
quicker on purpose: a Deployment that exceeded its progress deadline and a Job or Pod that failed for
good fail at once instead of at the timeout.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from astro_pulumi.embedded.providers.kubernetes.kinds import group_of
from astro_pulumi.embedded.providers.kubernetes.objects import Object, condition, dig

State = Literal["ready", "waiting", "failed"]

# How long a Service may select no pod at all before that counts as intended.
SETTLE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an object is ready; when it is not, what is missing, for a status line."""

    state: State
    message: str = ""
    about_pods: bool = False  # what the pods do explains it


READY: Final = Verdict("ready")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else decides, beside the object itself."""

    endpoint_slices: Sequence[Object] = field(default=())
    volume_binding_mode: str = ""  # of a claim's StorageClass
    waited: float = 0.0  # seconds


Judge = Callable[[Object, Surroundings], Verdict]


def judge_for(obj: Object) -> Judge | None:
    """How to tell that an object of this kind is ready; None when it is as soon as it exists."""
    key = (group_of(str(obj.get("apiVersion"))), str(obj.get("kind")))
    if key == ("", "Secret") and obj.get("type") != "kubernetes.io/service-account-token":
        return None
    return _JUDGES.get(key)


def _waiting(message: str) -> Verdict:
    return Verdict("waiting", message)


def _waiting_for_pods(message: str) -> Verdict:
    return Verdict("waiting", message, about_pods=True)


def _observed(obj: Object) -> bool:
    """Whether the controller has seen the newest generation; before that its status is about the last."""
    generation = dig(obj, "metadata", "generation") or 0
    return (dig(obj, "status", "observedGeneration") or 0) >= generation


def _count(obj: Object, *path: str) -> int:
    return int(dig(obj, *path) or 0)


def _replicas(obj: Object) -> int:
    replicas = dig(obj, "spec", "replicas")
    return 1 if replicas is None else int(replicas)


def judge_deployment(obj: Object, _: Surroundings) -> Verdict:
    """All replicas are of the new revision and available, and no replica of an older one is wanted."""
    if not _observed(obj):
        return _waiting("waiting for the Deployment controller")
    progressing = condition(obj, "Progressing")
    if (
        progressing.get("status") == "False"
        and progressing.get("reason") == "ProgressDeadlineExceeded"
    ):
        return Verdict("failed", f"[ProgressDeadlineExceeded] {progressing.get('message', '')}")
    wanted = _replicas(obj)
    ready = _new_ready_pods(obj)
    if ready < wanted:
        failure = condition(obj, "ReplicaFailure")
        if failure.get("status") == "True":
            return _waiting(f"[{failure.get('reason')}] {failure.get('message')}")
        return _waiting_for_pods(f"{ready}/{wanted} pods ready")
    if _count(obj, "status", "replicas") > _count(obj, "status", "updatedReplicas"):
        return _waiting("replacing the old pods")
    return READY


def _new_ready_pods(obj: Object) -> int:
    """Available pods of the new revision. Those of older ones are available too while they are replaced."""
    updated = _count(obj, "status", "updatedReplicas")
    if _count(obj, "status", "replicas") > updated:
        return max(updated - _count(obj, "status", "unavailableReplicas"), 0)
    return min(updated, _count(obj, "status", "availableReplicas"))


def judge_stateful_set(obj: Object, _: Surroundings) -> Verdict:
    """All replicas are ready and of the new revision (above the partition, if there is one)."""
    if not _observed(obj):
        return _waiting("waiting for the StatefulSet controller")
    wanted = _replicas(obj)
    ready = _count(obj, "status", "readyReplicas")
    updated = _count(obj, "status", "updatedReplicas")
    on_delete = dig(obj, "spec", "updateStrategy", "type") == "OnDelete"
    partition = _count(obj, "spec", "updateStrategy", "rollingUpdate", "partition")
    current, update = dig(obj, "status", "currentRevision"), dig(obj, "status", "updateRevision")
    rolling = not on_delete and current != update
    if ready < wanted or _count(obj, "status", "replicas") != wanted:
        return _waiting_for_pods(f"{min(ready, updated) if rolling else ready}/{wanted} pods ready")
    if rolling and updated < wanted - partition:
        return _waiting(f"{updated}/{wanted - partition} pods updated")
    if rolling and not partition:
        return _waiting("waiting for the StatefulSet controller to finish the update")
    return READY


def judge_daemon_set(obj: Object, _: Surroundings) -> Verdict:
    """A pod of the new revision is available on every node that should have one."""
    if not _observed(obj):
        return _waiting("waiting for the DaemonSet controller")
    wanted = _count(obj, "status", "desiredNumberScheduled")
    updated = _count(obj, "status", "updatedNumberScheduled")
    available = min(updated, _count(obj, "status", "numberAvailable"))
    if available >= wanted:
        return READY
    return _waiting_for_pods(f"{available}/{wanted} pods ready")


def judge_job(obj: Object, _: Surroundings) -> Verdict:
    """The Job has completed; a failed one never will."""
    if condition(obj, "Complete").get("status") == "True":
        return READY
    failed = condition(obj, "Failed")
    if failed.get("status") == "True":
        return Verdict("failed", f"[{failed.get('reason')}] {failed.get('message')}")
    if dig(obj, "spec", "suspend"):
        return _waiting("the Job is suspended")
    counts = [
        f"{count} {name}"
        for name in ("active", "succeeded", "failed")
        if (count := _count(obj, "status", name))
    ]
    if not counts:
        return _waiting("waiting for the Job to start")
    return _waiting_for_pods(f"running ({', '.join(counts)})")


def judge_pod(obj: Object, _: Surroundings) -> Verdict:
    """The pod is ready, or has done its work."""
    phase = dig(obj, "status", "phase")
    if condition(obj, "Ready").get("status") == "True" or phase == "Succeeded":
        return READY
    if phase == "Failed":
        reason = dig(obj, "status", "reason") or "Failed"
        return Verdict("failed", f"[{reason}] {dig(obj, 'status', 'message') or 'the pod failed'}")
    return _waiting_for_pods("waiting for the pod to be ready")


def judge_service(obj: Object, surroundings: Surroundings) -> Verdict:
    """At least one ready pod is behind it, and a load balancer has an address.

    A Service without a selector, headless, or for an external name is ready at once. One that selects
    no pod for ten seconds is ready as well: its workload may be scaled to zero.
    """
    type_ = dig(obj, "spec", "type")
    if type_ == "LoadBalancer" and not dig(obj, "status", "loadBalancer", "ingress"):
        return _waiting("waiting for an address from the load balancer")
    headless = dig(obj, "spec", "clusterIP") == "None"
    if headless or type_ == "ExternalName" or not dig(obj, "spec", "selector"):
        return READY
    endpoints = [
        endpoint
        for endpoint_slice in surroundings.endpoint_slices
        for endpoint in endpoint_slice.get("endpoints") or []
        if not dig(endpoint, "conditions", "terminating")
    ]
    if any(dig(endpoint, "conditions", "ready") is not False for endpoint in endpoints):
        return READY
    if not endpoints and surroundings.waited >= SETTLE_SECONDS:
        return READY
    return _waiting("waiting for a ready pod behind the Service")


def judge_volume_claim(obj: Object, surroundings: Surroundings) -> Verdict:
    """The claim is bound, or its class binds volumes only when a pod uses them."""
    if dig(obj, "status", "phase") == "Bound":
        return READY
    if surroundings.volume_binding_mode == "WaitForFirstConsumer":
        return READY
    return _waiting("waiting for a volume")


def judge_volume(obj: Object, _: Surroundings) -> Verdict:
    """The volume can be claimed or is."""
    phase = dig(obj, "status", "phase")
    if phase == "Failed":
        return Verdict("failed", str(dig(obj, "status", "message") or "the volume failed"))
    return READY if phase in ("Available", "Bound") else _waiting("waiting for the volume")


def judge_ingress(obj: Object, _: Surroundings) -> Verdict:
    """The ingress controller has given it an address."""
    if dig(obj, "status", "loadBalancer", "ingress"):
        return READY
    return _waiting("waiting for an address from the ingress controller; is one installed?")


def judge_quota(obj: Object, _: Surroundings) -> Verdict:
    """The quota is enforced."""
    enforced = dig(obj, "status", "hard") == dig(obj, "spec", "hard")
    return READY if enforced else _waiting("waiting for the quota to be enforced")


def judge_token(obj: Object, _: Surroundings) -> Verdict:
    """The token of a service account has been written into the Secret."""
    return READY if obj.get("data") else _waiting("waiting for the token")


def judge_definition(obj: Object, _: Surroundings) -> Verdict:
    """The API serves the new kind."""
    names = condition(obj, "NamesAccepted")
    if names.get("status") == "False":
        return Verdict("failed", f"[{names.get('reason')}] {names.get('message')}")
    established = condition(obj, "Established").get("status") == "True"
    return READY if established else _waiting("waiting for the API to serve it")


_JUDGES: Final[dict[tuple[str, str], Judge]] = {
    ("apps", "Deployment"): judge_deployment,
    ("apps", "StatefulSet"): judge_stateful_set,
    ("apps", "DaemonSet"): judge_daemon_set,
    ("batch", "Job"): judge_job,
    ("", "Pod"): judge_pod,
    ("", "Service"): judge_service,
    ("", "PersistentVolumeClaim"): judge_volume_claim,
    ("", "PersistentVolume"): judge_volume,
    ("", "ResourceQuota"): judge_quota,
    ("", "Secret"): judge_token,
    ("networking.k8s.io", "Ingress"): judge_ingress,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): judge_definition,
}
