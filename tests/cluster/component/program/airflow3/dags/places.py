"""Tells which worker a task runs on, and what the tasks get from the Deployment."""

# mypy: disallow-untyped-decorators=False

import logging
import os

from airflow.sdk import BaseHook, Variable, dag, task

logger = logging.getLogger(__name__)


@dag(schedule=None)
def places() -> None:
    @task
    def anywhere() -> None:
        season, orders = Variable.get("season"), BaseHook.get_connection("orders")
        logger.info(
            "%s from %s in %s; API_TOKEN has %d characters, orders are at %s, password %d long",
            os.environ["GREETING"],
            os.environ["HOSTNAME"],
            season,
            len(os.environ["API_TOKEN"]),
            orders.host,
            len(orders.password),
        )

    @task(queue="heavy")
    def heavy() -> None:
        logger.info("hello from %s", os.environ["HOSTNAME"])

    anywhere()
    heavy()


places()
