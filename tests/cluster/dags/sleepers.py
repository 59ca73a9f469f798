"""More tasks than a worker takes at once: every second one ends by itself, the others when they are told."""

# mypy: disallow-untyped-decorators=False

import time

from airflow.sdk import Variable, dag, get_current_context, task

# Seconds; None: until the Variable `go-<run>` is there.
SECONDS = [None, 30, None, 20, None, 15, None, 10, None, 5] * 2


@dag(schedule=None, tags=["test"])
def sleepers() -> None:
    @task
    def sleep(seconds: int | None) -> None:
        go = f"go-{get_current_context()['run_id']}"
        started = time.monotonic()
        while (passed := time.monotonic() - started) < (seconds or 900):
            print(f"{passed:.0f} of {seconds} s", flush=True)
            if seconds is None and Variable.get(go, default=""):
                return
            time.sleep(1)
        if seconds is None:
            raise TimeoutError(f"nobody set the Variable {go}")

    sleep.expand(seconds=SECONDS)


sleepers()
