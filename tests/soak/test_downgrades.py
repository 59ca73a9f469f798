"""To Airflow 3 and back to Airflow 2, twice, with the database."""

from tests.cluster.test_releases import (
    AIRFLOW_2,
    Released,
    assert_history_is_kept,
)
from tests.cluster.test_releases import kept as kept
from tests.cluster.test_releases import released as released


def test_the_way_to_airflow_2_and_back_can_be_gone_again(released: Released, kept: None) -> None:
    """What the first downgrade left in the database must not be in the way of the second."""
    released.use_runtime(None)
    released.change("deploy")
    airflow_2, airflow_3 = 1, released.history()[0]["number"]
    for is_second in (False, True):
        if is_second:
            released.change("rollback", str(airflow_3))
        assert released.history()[0]["airflow_version"].startswith("3.")
        assert_history_is_kept(released, released.airflow)

        released.change("rollback", str(airflow_2))

        assert released.history()[0]["airflow_version"] == AIRFLOW_2
        released.assert_healthy()
        airflow = released.airflow_2
        assert_history_is_kept(released, airflow)
        run = airflow.start_run("greeter", conf={"seconds": 0})
        assert airflow.wait_for_run("greeter", run, seconds=300) == "success"
        del released.runs[1:]  # Airflow's downgrade takes out the others
