"""Print the state of DAG deploys as JSON, from the database. `astro-pulumi status` runs it.

`version` is the version that the dag-processor has. `unfinished` has the numbers of DAG runs on others, by
version; "" stands for runs without one.
"""

from __future__ import annotations

import contextlib
import json
import os

import astro_dag_store
from astro_urls_with_login import compose_urls

if __name__ == "__main__":
    import psycopg2

    compose_urls(os.environ)
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].split("://", 1)[1]
    with contextlib.closing(psycopg2.connect(f"postgresql://{url}")) as connection:
        cursor = connection.cursor()
        version = astro_dag_store.parsed_version(cursor)
        found = {
            "version": version,
            "unfinished": astro_dag_store.unfinished(cursor, version),
        }
    print(json.dumps(found))
