"""Revenue of each warehouse, every day: TaskFlow, with the code of `include/`."""

from datetime import datetime

from airflow.sdk import dag, task
from include.orders import read_orders, revenue_by_warehouse


@dag(schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False, tags=["shop"])
def daily_revenue():
    @task
    def sum_up() -> dict[str, float]:
        orders = read_orders()
        print(f"{len(orders)} orders")
        return revenue_by_warehouse(orders)

    @task
    def report(revenue: dict[str, float]) -> None:
        for warehouse, amount in revenue.items():
            print(f"{warehouse}: {amount:.2f}")

    report(sum_up())


daily_revenue()
