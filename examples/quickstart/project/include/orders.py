"""The shop's orders: what several DAGs share, in plain Python that is tested without Airflow."""

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ORDERS = Path(__file__).parent / "data" / "orders.csv"


class Order(NamedTuple):
    """One line of the order book."""

    order: int
    customer: str
    warehouse: str
    city: str
    quantity: int
    unit_price: float

    @property
    def amount(self) -> float:
        """What the customer pays."""
        return round(self.quantity * self.unit_price, 2)


def read_orders(path: Path = ORDERS) -> list[Order]:
    """Reads the order book."""
    with path.open(newline="") as file:
        return [
            Order(
                order=int(row["order"]),
                customer=row["customer"],
                warehouse=row["warehouse"],
                city=row["city"],
                quantity=int(row["quantity"]),
                unit_price=float(row["unit_price"]),
            )
            for row in csv.DictReader(file)
        ]


def revenue_by_warehouse(orders: Iterable[Order]) -> dict[str, float]:
    """Sums the amounts of the orders that each warehouse sends."""
    revenue: defaultdict[str, float] = defaultdict(float)
    for order in orders:
        revenue[order.warehouse] += order.amount
    return {warehouse: round(total, 2) for warehouse, total in sorted(revenue.items())}
