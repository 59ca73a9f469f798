"""The REST API of Airflow 2, where it is not that of Airflow 3."""

import ast
import base64
from typing import Any

from local.airflow_api import Airflow, LogRecord


class Airflow2(Airflow):
    """One Airflow 2, whose API takes user name and password."""

    API = "/api/v1"
    HEALTH = "/health"
    HEARTBEATS = ("metadatabase", "scheduler")
    NEW_RUN = {}  # noqa: RUF012 a ClassVar in the base class

    def log(self, task: dict[str, Any], try_number: int | None = None) -> list[LogRecord]:
        """The log of a task instance: the text of `[(host, text), ...]`."""
        content = self._log_content(task, try_number)
        texts = [text for _, text in ast.literal_eval(content)]
        return [LogRecord(line, None) for text in texts for line in text.splitlines()]

    def _log_in(self) -> None:
        login = f"{self._login['username']}:{self._login['password']}"
        self._authorization = f"Basic {base64.b64encode(login.encode()).decode()}"
