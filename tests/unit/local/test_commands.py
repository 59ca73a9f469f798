"""Commands: what they say reaches the user, and none outlives the failure of another."""

import threading
import time
from collections.abc import Iterator

import pytest

from local import cancellation, commands
from local.errors import CancelledError, CommandError


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    cancellation.reset()
    yield
    cancellation.reset()


def test_each_line_is_reported() -> None:
    lines: list[str] = []
    commands.run(["sh", "-c", "echo a; echo; echo b >&2"], what="talk", on_line=lines.append)
    assert lines == ["a\n", "b\n"]


def test_a_failure_says_what_and_ends_with_the_last_lines() -> None:
    with pytest.raises(CommandError) as caught:
        commands.run(["sh", "-c", "seq 100; exit 3"], what="count")
    assert caught.value.what == "Could not count: sh exited with 3."
    assert caught.value.why.splitlines() == [str(n) for n in range(76, 101)]


def test_captured_output_is_without_errors() -> None:
    assert commands.capture(["sh", "-c", "echo a; echo b >&2"], what="talk") == "a\n"


def test_captured_failure_says_what_was_on_standard_error() -> None:
    with pytest.raises(CommandError) as caught:
        commands.capture(["sh", "-c", "echo a; echo b >&2; exit 1"], what="talk")
    assert caught.value.why == "b"


def test_standard_input_is_passed() -> None:
    assert commands.capture(["cat"], what="copy", stdin="x") == "x"


def test_cancelling_ends_a_running_command() -> None:
    threading.Timer(0.2, cancellation.cancel).start()
    started = time.monotonic()
    with pytest.raises(CancelledError):
        commands.run(["sleep", "30"], what="sleep")
    assert time.monotonic() - started < 10


def test_nothing_starts_after_cancelling() -> None:
    cancellation.cancel()
    with pytest.raises(CancelledError):
        commands.capture(["true"], what="start")
    cancellation.reset()
    assert commands.capture(["true"], what="start") == ""
