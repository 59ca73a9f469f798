"""Tasks of 5 to 90 seconds, more of them than workers take at once: load for tests of deploys."""

# mypy: disallow-untyped-decorators=False

import time

from airflow.sdk import dag, task

SECONDS = [90, 75, 60, 50, 45, 40, 35, 30, 28, 25, 22, 20, 18, 15, 12, 10, 8, 7, 6, 5]


@dag(schedule=None, tags=["test"])
def sleepers() -> None:
    @task
    def sleep(seconds: int) -> int:
        started = time.monotonic()
        while (passed := time.monotonic() - started) < seconds:
            print(f"{passed:.0f} of {seconds} s", flush=True)
            time.sleep(min(5, seconds - passed))
        return seconds

    sleep.expand(seconds=SECONDS)


sleepers()
