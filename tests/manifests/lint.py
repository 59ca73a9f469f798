"""Judges the rendered manifests with checkov and kube-score: nothing failed, nothing critical.

Usage: make lint-manifests

Checks that are wrong for Airflow are in `EXCEPTIONS`, each for certain containers or objects and with
its reason; every other finding fails. An exception that nothing needs any more fails too.

`make` installs both and names them by $CHECKOV and $KUBE_SCORE; else they are looked for on PATH.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.manifests.render import DEPLOYMENTS, manifests, write


@dataclass(frozen=True)
class Finding:
    """One failed check on one object, or on one of its containers ("" for the object itself)."""

    check: str
    subject: str  # "Deployment/webserver"
    container: str

    def __str__(self) -> str:
        return f"{self.check} {self.subject} {self.container}".rstrip()


@dataclass(frozen=True)
class Excepted:
    """A check that is wrong for these subjects (a regular expression over `str(finding)`)."""

    check: str
    where: str
    reason: str


EXCEPTIONS: Final = (
    Excepted(
        "CKV_K8S_38",
        r"(release-job$|Job/rollout-)",
        "The Jobs of a deploy speak to Kubernetes' API, each with a role of just the verbs it needs.",
    ),
    Excepted(
        "CKV_K8S_35",
        r"",
        "Airflow reads its settings from its environment. Its other way, X_CMD, starts a shell for "
        "each setting at each start of each process.",
    ),
    Excepted(
        "CKV_K8S_8",
        r"log-groomer$",
        "It serves nobody: a groomer that ends is started again, and that is all there is to probe.",
    ),
    Excepted("CKV_K8S_9", r"log-groomer$", "It serves nobody, so nobody waits for it."),
    Excepted(
        "CKV_K8S_43",
        r"(postgresql|redis|statsd)",
        "Embedded services run the image that the user names; the default is the tag of an official "
        "image, so that a new pod gets its security fixes. Airflow's own image is by digest.",
    ),
    Excepted(
        "CKV_K8S_15",
        r"(postgresql|redis|statsd)",
        "With `Always` a pod could not start while the registry is away, and an embedded database "
        "would change its version at a restart.",
    ),
    Excepted(
        "CKV_K8S_40",
        r"(postgresql|redis)",
        "The official images own their data as user 999; another user cannot read it.",
    ),
    Excepted(
        "container-image-pull-policy",
        r"",
        "Images are by digest, which is the same image for good; asking the registry at each start "
        "only makes pods depend on it. For embedded services see CKV_K8S_15.",
    ),
    Excepted(
        "container-security-context-user-group-id",
        r"(webserver|scheduler|triggerer|dag-processor|worker|release-job|rollout|log-groomer|simple-auth)$",
        "Airflow images give their files to group 0, by OpenShift's convention; the user is 50000, and "
        "group 0 has no rights besides these files.",
    ),
    Excepted(
        "container-security-context-user-group-id",
        r"(postgresql|redis)$",
        "As CKV_K8S_40.",
    ),
    Excepted(
        "pod-probes-identical",
        r"",
        "Each process has one question that tells whether it works; readiness and liveness ask it at "
        "different intervals and give up after different times (10 s and 2.5 minutes).",
    ),
    Excepted(
        "statefulset-has-servicename",
        r"(postgresql|redis)$",
        "A headless Service gives each of several pods a name; there is one pod, and clients keep the "
        "address of its Service over a restart.",
    ),
)


def checkov(file: Path) -> tuple[int, list[Finding]]:
    """-> number of checks, failed ones."""
    output = _run(
        os.environ.get("CHECKOV", "checkov"),
        *("-f", str(file), "--framework", "kubernetes", "--quiet", "--output", "json"),
    )
    results = json.loads(output)
    failed = []
    for one in results["results"]["failed_checks"]:
        kind, _, name = one["resource"].split(".", 2)
        subject = f"{kind}/{_component(name)}"
        containers = _containers(file.stem, kind, name, one) or [""]
        failed += [Finding(one["check_id"], subject, container) for container in containers]
    summary = results["summary"]
    return summary["passed"] + summary["failed"], failed


def kube_score(file: Path) -> tuple[int, list[Finding]]:
    """-> number of checks, critical ones."""
    output = _run(
        os.environ.get("KUBE_SCORE", "kube-score"),
        *("score", "--kubernetes-version", "v1.33", "--output-format", "json", str(file)),
    )
    critical, count = [], 0
    for one in json.loads(output):
        subject = f"{one['type_meta']['kind']}/{_component(one['object_meta']['name'])}"
        for check in one["checks"]:
            count += 1
            if check["skipped"] or check["grade"] > 1:
                continue
            paths = [comment.get("path", "") for comment in check["comments"] or [{}]]
            critical += [Finding(check["check"]["id"], subject, path) for path in paths]
    return count, critical


def main() -> int:
    """Prints the totals and what nobody has explained."""
    used: set[Excepted] = set()
    unexplained: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        for name in DEPLOYMENTS:
            for tool in (checkov, kube_score):
                count, found = tool(Path(folder) / f"{name}.yaml")
                excepted = {f: e for f in found if (e := _exception(f))}
                used.update(excepted.values())
                failed = [finding for finding in found if finding not in excepted]
                unexplained += [f"{name}: {finding}" for finding in failed]
                print(
                    f"{name:18} {tool.__name__:10} {count:4} checks, "
                    f"{len(found) - len(failed):3} excepted, {len(failed):3} failed"
                )
    unexplained += [
        f"exception not needed: {one.check} {one.where}" for one in EXCEPTIONS if one not in used
    ]
    print("\n".join(unexplained))
    return 1 if unexplained else 0


def _exception(finding: Finding) -> Excepted | None:
    return next(
        (e for e in EXCEPTIONS if e.check == finding.check and re.search(e.where, str(finding))),
        None,
    )


def _component(name: str) -> str:
    return re.sub(r"-abc123$", "", name).removeprefix("analytics-")


def _containers(deployment: str, kind: str, name: str, check: dict[str, Any]) -> list[str]:
    """The containers that checkov's evaluated keys point at."""

    def names() -> Iterator[str]:
        for key in check["check_result"].get("evaluated_keys") or []:
            if match := re.search(r"/containers/\[(\d+)\]", key):
                yield _pods(deployment)[kind, name][int(match[1])]

    return sorted(set(names()))


def _pods(deployment: str) -> dict[tuple[str, str], list[str]]:
    if deployment not in _CACHE:
        _CACHE[deployment] = {
            (m["kind"], m["metadata"]["name"]): [
                container["name"] for container in m["spec"]["template"]["spec"]["containers"]
            ]
            for m in manifests(deployment)
            if m["kind"] in ("Deployment", "StatefulSet", "Job")
        }
    return _CACHE[deployment]


_CACHE: Final[dict[str, dict[tuple[str, str], list[str]]]] = {}


def _run(*command: str) -> str:
    # Both tools exit with an error when they find something.
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        raise SystemExit(f"{command[0]}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
