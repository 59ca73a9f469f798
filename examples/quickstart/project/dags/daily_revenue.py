"""Revenue of each warehouse, every day: TaskFlow, with the code of `include/`."""

import logging
from datetime import datetime

from airflow.sdk import dag, task
from include.orders import read_orders, revenue_by_warehouse

log = logging.getLogger(__name__)


@dag(schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False, tags=["shop"])
def daily_revenue():
    @task
    def sum_up() -> dict[str, float]:
        orders = read_orders()
        log.info("%d orders", len(orders))
        return revenue_by_warehouse(orders)

    @task
    def report(revenue: dict[str, float]) -> None:
        for warehouse, amount in revenue.items():
            log.info("%s: %.2f", warehouse, amount)

    report(sum_up())


daily_revenue()
