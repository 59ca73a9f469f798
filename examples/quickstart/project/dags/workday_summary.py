"""Runs after each working day: timetable and macro of the plugin in `plugins/`."""

from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from workdays import WorkdayTimetable

with DAG(
    dag_id="workday_summary",
    schedule=WorkdayTimetable(),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["shop"],
):
    BashOperator(
        task_id="summarize",
        bash_command="echo 'working day before {{ ds }}: {{ macros.workdays.workday_before(ds) }}'",
    )
