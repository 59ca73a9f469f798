"""How far each order travels: one mapped task an order, with a package of `requirements.txt`."""

import logging

from airflow.sdk import dag, task
from haversine import haversine
from include.orders import read_orders
from include.places import PLACES

log = logging.getLogger(__name__)


@dag(schedule=None, tags=["shop"])
def delivery_distances():
    @task
    def routes() -> list[list[str]]:
        return [[order.warehouse, order.city] for order in read_orders()]

    @task(map_index_template="{{ route[1] }}")
    def measure(route: list[str]) -> float:
        warehouse, city = route
        kilometres = haversine(PLACES[warehouse], PLACES[city])
        log.info("%s to %s: %.0f km", warehouse, city, kilometres)
        return kilometres

    @task
    def longest(distances: list[float]) -> None:
        log.info("longest way: %.0f km", max(distances))

    longest(measure.expand(route=routes()))


delivery_distances()
