"""Report what a deploy changes against the last release: DAG files, requirements, versions, queues.

A ConfigMap describes the content of the current release. It is updated last, so that the stack's state always
has the content of the last successful release. A resource hook, which Pulumi also calls in previews, gets the
old and the new ConfigMap: the cluster is not asked. The content is in annotations, because a change of `data`
would replace the ConfigMap.
"""

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import pulumi
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.settings import monitor_supports_feature

from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.labels import Manifest, labels
from astro_pulumi.pod_files import astro_shared_names
from astro_pulumi.project.content_summary import Summary, summarize
from astro_pulumi.release.release_records import AIRFLOW_VERSION, NUMBER

COMPONENT: Final = "content"
_PROJECT: Final = astro_shared_names.PREFIX + "project"
_QUEUES: Final = astro_shared_names.PREFIX + "worker-queues"
_PODS: Final = astro_shared_names.PREFIX + "pods"

_READABLE_BYTES: Final = 32 << 10
_MOST_BYTES: Final = 200 << 10  # all annotations together: 256 KiB
_COMPRESSED: Final = "zlib:"
_MOST_NAMES: Final = 10


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a release, as far as it is known without a build."""

    project: Summary | None  # None: the image was built elsewhere
    airflow_version: str
    queues: tuple[str, ...]  # those that have workers

    @classmethod
    def from_annotations(cls, annotations: Mapping[str, str]) -> "Content":
        """Read the annotations that `content_record` makes."""
        project = annotations.get(_PROJECT)
        return cls(
            Summary.from_dict(json.loads(_decompressed(project))) if project else None,
            annotations.get(AIRFLOW_VERSION, ""),
            tuple(json.loads(annotations.get(_QUEUES, "[]"))),
        )


def recorded_project(spec: DeploymentSpec, restored: str | None) -> str | None:
    """Return the project as records keep it; None if the image was built elsewhere.

    Args:
        spec: The Deployment.
        restored: The project in the record of the release that a rollback deploys again.
    """
    return serialized(summarize(spec.source.project)) if spec.source else restored


def content_record(
    spec: DeploymentSpec, project: str | None, findings: Any, inputs: pulumi.Input[str] = ""
) -> Manifest:
    """Build the ConfigMap with the content of the current release. It holds no secrets.

    Args:
        spec: The Deployment.
        project: The project, as `recorded_project` returns it.
        findings: The findings of the release Job. May be an Output.
        inputs: Fingerprint of the workloads' inputs. With DAG deploys it tells whether anything restarts.
    """
    pods = {_PODS: inputs} if spec.dag_deploys else {}
    queues = {name for queue in spec.worker_queues for name in spec.queues_served(queue)}
    number = pulumi.Output.from_input(findings).apply(lambda found: str(found["number"]))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "labels": labels(spec.name, COMPONENT),
            "annotations": {
                NUMBER: number,
                AIRFLOW_VERSION: str(spec.airflow_version),
                _QUEUES: json.dumps(sorted(queues)),
                **pods,
                **({_PROJECT: project} if project else {}),
            },
        },
    }


def serialized(project: Summary) -> str:
    """Serialize to JSON, compressed above 32 KiB, and without the list of files above 200 KiB."""
    text = json.dumps(asdict(project), sort_keys=True)
    if len(text) <= _READABLE_BYTES:
        return text
    compressed = _COMPRESSED + base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    if len(compressed) <= _MOST_BYTES or project.files is None:
        return compressed
    return serialized(Summary(project.base_image, None, project.requirements, project.packages))


def _decompressed(text: str) -> str:
    if text.startswith(_COMPRESSED):
        return zlib.decompress(base64.b64decode(text.removeprefix(_COMPRESSED))).decode()
    return text


def differences(before: Content, after: Content) -> list[str]:
    """List the differences between two releases, one per line. What either side does not know is left out."""
    lines = []
    if _is_other_version(before.airflow_version, after.airflow_version):
        lines.append(f"Airflow: {before.airflow_version} -> {after.airflow_version}")
    if before.project and after.project:
        lines += _project_differences(before.project, after.project)
    added = [name for name in after.queues if name not in before.queues]
    if added:
        lines.append(f"worker queues: {len(added)} added ({_names(added)})")
    return lines


def _is_other_version(before: str, after: str) -> bool:
    """Compare the parts that both versions have: a tag may say `3.3`, and a record `3.3.2`."""
    return any(old != new for old, new in zip(before.split("."), after.split("."), strict=False))


def warnings(before: Content, after: Content) -> list[str]:
    """Return warnings about changes that are probably unintended, such as a removed queue."""
    gone = [name for name in before.queues if name not in after.queues]
    if not gone:
        return []
    which = "queue is" if len(gone) == 1 else "queues are"
    return [
        f"worker {which} removed: {_names(gone)}. Tasks of such a queue stay queued, because no worker "
        "takes them. Keep the queue, or change the `queue` of the tasks."
    ]


def _project_differences(before: Summary, after: Summary) -> Iterator[str]:
    if before.base_image != after.base_image:
        yield f"base image: {before.base_image} -> {after.base_image}"
    if before.files is not None and after.files is not None:
        dags, others = [
            _file_differences(_matching(before.files, kind), _matching(after.files, kind))
            for kind in (_is_dag_file, lambda path: not _is_dag_file(path))
        ]
        yield from (f"DAG files: {line}" for line in dags)
        yield from (f"other files: {line}" for line in others)
    for name in sorted({*before.requirements, *after.requirements}):
        old, new = before.requirements.get(name), after.requirements.get(name)
        if old is None:
            yield f"requirement added: {name}{new}"
        elif new is None:
            yield f"requirement removed: {name}{old}"
        elif old != new:
            yield f"requirement changed: {name}{old} -> {name}{new}"
    for verb, packages, others_ in (
        ("added", after.packages, before.packages),
        ("removed", before.packages, after.packages),
    ):
        names = [name for name in packages if name not in others_]
        if names:
            yield f"packages {verb}: {_names(names)}"


def _is_dag_file(path: str) -> bool:
    return path.startswith("dags/") and path.endswith((".py", ".zip"))


def _matching(files: Mapping[str, str], kind: Callable[[str], bool]) -> dict[str, str]:
    return {path: mark for path, mark in files.items() if kind(path)}


def _file_differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    found = {
        "added": [path for path in after if path not in before],
        "changed": [path for path in after if before.get(path, after[path]) != after[path]],
        "removed": [path for path in before if path not in after],
    }
    return [f"{len(paths)} {verb} ({_names(paths)})" for verb, paths in found.items() if paths]


def _names(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(sorted(names)[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def report_hook(deployment: str, parent: pulumi.Resource) -> pulumi.ResourceHookBinding | None:
    """Return the hook of the ConfigMap, which reports the changes in previews and updates.

    Return None if the Pulumi CLI does not support resource hooks.
    """
    if not monitor_supports_feature(resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_HOOKS):
        return None

    def log(args: pulumi.ResourceHookArgs) -> None:
        found = report(args.old_inputs, args.new_inputs)
        if found.differences:
            pulumi.log.info(found.differences, parent)
        for warning in found.warnings:
            pulumi.log.warn(warning, parent)

    options = pulumi.ResourceHookOptions(on_dry_run=True, ignore_errors=True)
    hook = pulumi.ResourceHook(f"{deployment}-changes", log, options)
    return pulumi.ResourceHookBinding(before_update=[hook])


@dataclass(frozen=True, slots=True)
class Report:
    """The changes of a deploy, for the user."""

    differences: str  # empty if there are none
    warnings: tuple[str, ...]


def report(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Report:
    """Compare the inputs of the ConfigMap before and after a change."""
    before, after = (_annotations(inputs) for inputs in (old, new))
    contents = Content.from_annotations(before), Content.from_annotations(after)
    lines = differences(*contents)
    number = before.get(NUMBER)
    against = f"release {number}" if isinstance(number, str) else "the last release"
    kind = _kind_of_deploy(before, after)
    head = f"changes against {against}{kind}:" if lines else f"no changes in the project{kind}"
    return Report(
        "\n  ".join([head, *lines]) if lines or kind else "",
        tuple(warnings(*contents)),
    )


def _kind_of_deploy(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return which kind of deploy this is, with DAG deploys. It is known in a preview too.

    The fingerprint of the pods is unknown in a preview if an image is built for them.
    """
    if _PODS not in after:
        return ""
    if before.get(_PODS) == after[_PODS]:
        return " (DAG deploy: no process restarts)"
    return " (image deploy: processes restart)"


def _annotations(inputs: Mapping[str, Any] | None) -> Mapping[str, Any]:
    metadata = (inputs or {}).get("metadata") or {}
    return metadata.get("annotations") or {}
