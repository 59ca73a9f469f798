"""Airflow: differences between its versions, its settings, and its secrets."""
