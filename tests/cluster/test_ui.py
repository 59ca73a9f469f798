"""A person with a browser: logs in, sees the DAGs, opens the log of a finished run.

With ASTRO_SCREENSHOTS=1 the pictures in `docs/images/` are made anew.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from local import packages
from local.progress import Progress
from local.quickstart import REPOSITORY_ROOT
from tests.cluster.conftest import Deployed

IMAGES = REPOSITORY_ROOT / "docs" / "images"
# As root Chromium needs --no-sandbox; the others keep it from calling its maker.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DAG_ID, LOGGED = "delivery_distances", "longest way: 555 km"


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    if not shutil.which("chromium"):
        with Progress() as progress, progress.phase("Install Chromium") as phase:
            packages.install(["chromium"], phase)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path),
            executable_path=shutil.which("chromium"),
            args=FLAGS,
            viewport={"width": 1280, "height": 800},
        )
        yield context.pages[0]
        context.close()


def screenshot(page: Page, name: str) -> None:
    if os.environ.get("ASTRO_SCREENSHOTS"):
        IMAGES.mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(2000)  # until the charts have been drawn
        page.screenshot(path=IMAGES / f"{name}.png")


def test_a_person_sees_the_dags_and_reads_a_log(deployed: Deployed, page: Page) -> None:
    airflow, outputs = deployed.airflow, deployed.outputs
    airflow.wait_for_dag(DAG_ID, seconds=180)
    run_id = airflow.start_run(DAG_ID)
    assert airflow.wait_for_run(DAG_ID, run_id, seconds=300) == "success"

    page.goto(outputs["webserver_url"])
    page.get_by_label("Username").fill(outputs["admin_username"])
    page.get_by_label("Password").fill(outputs["admin_password"])
    page.get_by_role("button", name="Sign In").click()
    page.wait_for_url(lambda url: "/auth/login" not in url)
    page.get_by_role("link", name="Dags", exact=True).first.click()
    for dag_id in ("daily_revenue", DAG_ID, "low_stock", "workday_summary"):
        expect(page.get_by_role("link", name=dag_id).first).to_be_visible(timeout=90_000)
    screenshot(page, "dags")

    page.goto(f"{outputs['webserver_url']}/dags/{DAG_ID}/runs/{run_id}/tasks/longest")
    expect(page.get_by_text(LOGGED).first).to_be_visible(timeout=90_000)
    screenshot(page, "log")
