"""A small client of the REST API of Airflow 3: start a DAG run, wait for it, read logs."""

import time
import urllib.parse
from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple

import urllib3

from local.errors import LocalError

_POLL_SECONDS: Final = 0.5
_FINISHED: Final = frozenset({"success", "failed"})
_PAGE: Final = 100
# Connections may break while the webserver is replaced. Only repeatable requests are repeated.
_RETRIES: Final = urllib3.Retry(
    total=6, backoff_factor=0.2, allowed_methods={"GET"}, status_forcelist=()
)


class AirflowError(LocalError):
    """Airflow refused or failed a request. `why` is its own answer."""


class LogRecord(NamedTuple):
    """A line of a task's log."""

    text: str
    logger: str | None

    @property
    def of_dag(self) -> bool:
        """Whether the DAG's own code wrote the line, not Airflow."""
        # Airflow imports a DAG file under a name with this prefix.
        return self.logger == "task.stdout" or (self.logger or "").startswith("unusual_prefix_")


class Airflow:
    """A client of one Airflow at `url`, with the login of a user."""

    # Differences of Airflow 2, for a subclass.
    API: ClassVar[str] = "/api/v2"
    HEALTH: ClassVar[str] = "/api/v2/monitor/health"
    HEARTBEATS: ClassVar[tuple[str, ...]] = ("metadatabase", "scheduler", "dag_processor")
    NEW_RUN: ClassVar[dict[str, Any]] = {"logical_date": None}

    def __init__(self, url: str, username: str, password: str) -> None:
        """Take the URL and the login."""
        self.url = url.rstrip("/")
        self._login = {"username": username, "password": password}
        self._authorization = ""
        self._http = urllib3.PoolManager(timeout=urllib3.Timeout(connect=5, read=60))

    def wait_until_healthy(self, seconds: float, note: Callable[[str], None] = print) -> None:
        """Return when the webserver answers, and scheduler and dag-processor have a heartbeat."""
        deadline = time.monotonic() + seconds
        while True:
            waits = self._unhealthy()
            if not waits:
                return
            if time.monotonic() > deadline:
                raise AirflowError(
                    f"Airflow at {self.url} was not healthy after {seconds:.0f} s.", why=waits
                )
            note(waits)
            time.sleep(_POLL_SECONDS)

    def _unhealthy(self) -> str:
        try:
            response = self._http.request("GET", self.url + self.HEALTH, retries=False)
            health = response.json() if response.status == 200 else {}
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            return f"the webserver does not answer yet: {error}"
        sick = [
            name for name in self.HEARTBEATS if (health.get(name) or {}).get("status") != "healthy"
        ]
        return f"not healthy yet: {', '.join(sick)}" if sick else ""

    def get(self, path: str, **query: str | int) -> Any:
        """Return the answer to `GET /api/v2/<path>`."""
        suffix = f"?{urllib.parse.urlencode(query)}" if query else ""
        return self._call("GET", f"{path}{suffix}")

    def set_variable(self, key: str, value: str) -> None:
        """Create a Variable in the database."""
        self._call("POST", "variables", {"key": key, "value": value})

    def dag_ids(self) -> set[str]:
        """Return the ids of all DAGs that are not stale."""
        return {dag["dag_id"] for dag in self.get("dags", limit=_PAGE)["dags"]}

    def wait_for_dag(self, dag_id: str, seconds: float) -> None:
        """Return when the dag-processor has written a DAG to the database."""
        deadline = time.monotonic() + seconds
        while dag_id not in self.dag_ids():
            if time.monotonic() > deadline:
                errors = self.get("importErrors")["import_errors"]
                raise AirflowError(
                    f"Airflow does not know the DAG {dag_id!r} after {seconds:.0f} s.",
                    why="\n".join(error["stack_trace"] for error in errors),
                )
            time.sleep(_POLL_SECONDS)

    def start_run(
        self, dag_id: str, run_id: str | None = None, conf: dict[str, Any] | None = None
    ) -> str:
        """Unpause a DAG, start a run of it, and return the run's id."""
        dag = f"dags/{_quoted(dag_id)}"
        self._call("PATCH", f"{dag}?update_mask=is_paused", {"is_paused": False})
        body: dict[str, Any] = {**self.NEW_RUN, "conf": conf or {}}
        if run_id:
            body["dag_run_id"] = run_id
        return str(self._call("POST", f"{dag}/dagRuns", body)["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str | None:
        """Return a run's state; None if there is no such run."""
        try:
            return str(self.get(f"dags/{_quoted(dag_id)}/dagRuns/{_quoted(run_id)}")["state"])
        except AirflowError as error:
            if error.why.startswith("404"):
                return None
            raise

    def wait_for_run(
        self,
        dag_id: str,
        run_id: str,
        seconds: float,
        note: Callable[[str], None] | None = None,
    ) -> str:
        """Wait until a run has ended and return its state."""
        deadline = time.monotonic() + seconds
        while (state := self.run_state(dag_id, run_id)) not in _FINISHED:
            if time.monotonic() > deadline:
                raise AirflowError(
                    f"The run {run_id} of {dag_id} is {state} after {seconds:.0f} s.",
                    why=self.describe_tasks(dag_id, run_id),
                )
            if note:
                note(self.describe_tasks(dag_id, run_id))
            time.sleep(_POLL_SECONDS)
        return str(state)

    def fail_run(self, dag_id: str, run_id: str) -> None:
        """Set a run to failed, which ends its tasks."""
        path = f"dags/{_quoted(dag_id)}/dagRuns/{_quoted(run_id)}"
        self._call("PATCH", path, {"state": "failed"})

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return all task instances of a run."""
        path = f"dags/{_quoted(dag_id)}/dagRuns/{_quoted(run_id)}/taskInstances"
        tasks: list[dict[str, Any]] = []
        while True:
            page = self.get(path, limit=_PAGE, offset=len(tasks))
            tasks += page["task_instances"]
            if not page["task_instances"] or len(tasks) >= page["total_entries"]:
                return tasks

    def describe_tasks(self, dag_id: str, run_id: str) -> str:
        """Return the number of a run's tasks by state: "2 running, 1 success"."""
        states: dict[str, int] = {}
        for task in self.task_instances(dag_id, run_id):
            state = task["state"] or "waiting"
            states[state] = states.get(state, 0) + 1
        return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))

    def describe_failure(self, dag_id: str, run_id: str) -> str:
        """Return the end of the log of a run's failed task."""
        tasks = self.task_instances(dag_id, run_id)
        task = next((task for task in tasks if task["state"] == "failed"), tasks[-1])
        lines = [record.text for record in self.log(task)[-20:]]
        return "\n".join([f"{task['task_id']} is {task['state']}:", *lines])

    def log(self, task: dict[str, Any], try_number: int | None = None) -> list[LogRecord]:
        """Return a task instance's log. The webserver reads it from the worker."""
        content = self._log_content(task, try_number)
        return [LogRecord(str(entry["event"]), entry.get("logger")) for entry in content]

    def _log_content(self, task: dict[str, Any], try_number: int | None) -> Any:
        path = (
            f"dags/{_quoted(task['dag_id'])}/dagRuns/{_quoted(task['dag_run_id'])}"
            f"/taskInstances/{_quoted(task['task_id'])}/logs/{try_number or task['try_number']}"
        )
        return self.get(path, map_index=task["map_index"], full_content="true")["content"]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        path = f"{self.API}/{path}"
        if not self._authorization:
            self._log_in()
        response = self._request(method, path, body)
        if response.status == 401:  # the token has expired
            self._log_in()
            response = self._request(method, path, body)
        if response.status >= 400:
            raise AirflowError(
                f"Airflow refused {method} {path}.",
                why=f"{response.status} {response.data.decode(errors='replace')}",
            )
        return response.json() if response.data else None

    def _log_in(self) -> None:
        response = self._request("POST", "/auth/token", self._login)
        if response.status >= 400:
            raise AirflowError(
                f"Airflow at {self.url} does not let {self._login['username']!r} in.",
                why=f"{response.status} {response.data.decode(errors='replace')}",
            )
        self._authorization = f"Bearer {response.json()['access_token']}"

    def _request(self, method: str, path: str, body: Any) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json"}
        if self._authorization:
            headers["Authorization"] = self._authorization
        try:
            return self._http.request(
                method, self.url + path, json=body, headers=headers, retries=_RETRIES
            )
        except urllib3.exceptions.HTTPError as error:
            raise AirflowError(f"Airflow at {self.url} does not answer.", why=str(error)) from error


def _quoted(part: str) -> str:
    return urllib.parse.quote(part, safe="")
