"""A DAG that needs the package."""

import acme_etl
from airflow.sdk import DAG

with DAG("etl", description=acme_etl.__doc__):
    pass
