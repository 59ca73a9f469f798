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
    # Not `ds`, which only scheduled runs have.
    BashOperator(
        task_id="summarize",
        bash_command="echo 'last working day: {{ macros.workdays.workday_before(dag_run.run_after) }}'",
    )
