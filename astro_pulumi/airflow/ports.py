"""Ports, user and database of the Deployment's own services, as pods reach them."""

from typing import Final

WEBSERVER_PORT: Final = 8080
POSTGRESQL_PORT: Final = 5432
REDIS_PORT: Final = 6379
PGBOUNCER_PORT: Final = 6432
STATSD_PORT: Final = 9125  # UDP
METRICS_PORT: Final = 9102  # Prometheus reads the metrics here

# Database and user of the embedded PostgreSQL.
DATABASE_NAME: Final = "airflow"
DATABASE_USER: Final = "airflow"
# Name of the database for PgBouncer's clients, independent of its real name.
POOLED_DATABASE: Final = "airflow"
