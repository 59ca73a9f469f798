"""Read whether DAGs are deployed on their own."""

from collections.abc import Iterable

from astro_pulumi.airflow.version import AirflowVersion
from astro_pulumi.airflow.version_differences import AIRFLOW
from astro_pulumi.deployment_spec import ImageSource
from astro_pulumi.errors import ArgumentError
from astro_pulumi.project.build_steps import DAG_FOLDER_SETTINGS
from astro_pulumi.validation.argument_reader import Arguments


def read_dag_deploys(
    given: Arguments,
    version: AirflowVersion,
    source: ImageSource | None,
    *,
    restores: bool,
) -> bool:
    """Return whether DAGs are deployed on their own.

    Args:
        given: The arguments.
        version: Airflow's version.
        source: The project.
        restores: Whether the arguments are those of an earlier release, which has its image.

    Raises:
        ArgumentError: Airflow or the project cannot have DAG deploys.
    """
    if not given.plain_flag("dag_deploys"):
        return False
    if not AIRFLOW[version.major].dag_deploy_settings:
        why = f"needs Airflow 3: Airflow {version} cannot run several versions of a DAG"
        raise ArgumentError("dag_deploys", why)
    if source is None and not restores:
        why = "needs `project`: an image that was built elsewhere is deployed whole"
        raise ArgumentError("dag_deploys", why)
    if source and source.project.no_dag_deploys:
        why = f"is impossible for {source.project.directory}. {source.project.no_dag_deploys}"
        raise ArgumentError("dag_deploys", why)
    return True


def check_dag_settings(names: Iterable[str], argument: str) -> None:
    """Refuse environment variables that DAG deploys set themselves."""
    for name in names:
        if name in DAG_FOLDER_SETTINGS:
            raise ArgumentError(
                f"{argument}[{name!r}]", "is set by `dag_deploys`: DAGs are in the project's dags/"
            )
