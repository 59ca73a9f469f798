"""Working days: a timetable for schedules and a macro for templates."""

from datetime import datetime, timedelta
from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from pendulum import UTC, DateTime, instance

SATURDAY = 5


def workday_before(moment: datetime) -> str:
    """Macro: the last working day before that of `moment`, as `2026-01-31`."""
    previous = moment.date() - timedelta(days=1)
    while previous.weekday() >= SATURDAY:
        previous -= timedelta(days=1)
    return previous.isoformat()


def _midnight(moment: datetime) -> DateTime:
    return instance(moment).in_timezone(UTC).start_of("day")


class WorkdayTimetable(Timetable):
    """One run for each day from Monday to Friday, when that day is over."""

    description = "After every working day"

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        day = _midnight(run_after).subtract(days=1)
        while day.weekday() >= SATURDAY:
            day = day.subtract(days=1)
        return DataInterval(start=day, end=day.add(days=1))

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        if last_automated_data_interval is not None:
            day = last_automated_data_interval.end
        elif restriction.earliest is not None:
            day = restriction.earliest
        else:
            return None
        if not restriction.catchup:
            day = max(day, DateTime.now(UTC).subtract(days=1))
        day = _midnight(day)
        while day.weekday() >= SATURDAY:
            day = day.add(days=1)
        if restriction.latest is not None and day > restriction.latest:
            return None
        return DagRunInfo.interval(start=day, end=day.add(days=1))


class WorkdaysPlugin(AirflowPlugin):
    """Airflow finds it here by its base class."""

    name = "workdays"
    timetables: ClassVar = [WorkdayTimetable]
    macros: ClassVar = [workday_before]
