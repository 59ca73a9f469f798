"""Recorded calls of the CLI to the real providers, and how to replay them against a stand-in."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.pulumi.provider import Provider, handlers
from tests.unit.local.pulumi.client import PROVIDER, served

FOLDER = Path(__file__).parents[3] / "data" / "recordings"
FILES = ("create", "preview", "update", "failjob", "noop", "refresh", "destroy")


@dataclass(frozen=True)
class Call:
    """One recorded call, in the protocol's JSON form."""

    file: str
    method: str
    request: dict[str, Any]
    response: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.file}-{self.method}-{self.request['name']}"

    def replay(self, provider: Provider) -> dict[str, Any]:
        """Return a stand-in's answer to the same request."""
        with served(PROVIDER, handlers(provider, "127.0.0.1:1")) as client:
            return client(self.method, **self.request)


def calls(provider: str, *methods: str) -> list[Call]:
    """Return the calls of a provider, in the order in which they were answered."""
    return [call for file in FILES for call in _read(file, provider) if call.method in methods]


def _read(file: str, provider: str) -> list[Call]:
    with gzip.open(FOLDER / f"{file}.jsonl.gz", "rt") as lines:
        entries = [json.loads(line) for line in lines]
    return [
        Call(file, entry["method"].partition("/")[2], entry["request"], entry.get("response") or {})
        for entry in entries
        if entry.get("provider") == provider
    ]
