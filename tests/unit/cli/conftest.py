"""Fixtures of the tests of the command line."""

from pathlib import Path

import pytest

from tests.unit.cli.fake_pulumi import FakePulumi


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePulumi:
    """A `pulumi` on PATH that does what the test says."""
    return FakePulumi(tmp_path, monkeypatch)
