"""`astro-pulumi open`."""

from typing import Annotated

import typer

from astro_pulumi.cli.find_deployment import (
    Context,
    Deployed,
    Name,
    Namespace,
    airflow_container,
    find,
)
from astro_pulumi.cli.options import StackName
from astro_pulumi.errors import ClusterError

_BASE_URLS = ("AIRFLOW__API__BASE_URL", "AIRFLOW__WEBSERVER__BASE_URL")


def open_ui(
    name: Name = None,
    namespace: Namespace = None,
    context: Context = None,
    stack: StackName = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the URL instead of opening a browser.")
    ] = False,
) -> None:
    """Open the Airflow UI in a browser."""
    deployed = find(name, namespace, context, stack)
    url = webserver_url(deployed)
    if url is None:
        raise ClusterError(
            f"the webserver of {deployed.name} has no URL outside of the cluster. Reach it with: "
            f"kubectl -n {deployed.namespace} port-forward service/{deployed.name}-webserver 8080"
        )
    typer.echo(url)
    if not only_print:
        import webbrowser

        if not webbrowser.open(url):
            raise ClusterError("no browser could be opened; the URL is above")


def webserver_url(deployed: Deployed) -> str | None:
    """Return `service.base_url` from the webserver's settings."""
    for workload in deployed.objects("apps/deployments", "webserver"):
        container = airflow_container(workload["spec"]["template"]["spec"])
        for source in container.get("envFrom") or []:
            name = (source.get("configMapRef") or {}).get("name")
            if not name:
                continue
            found = deployed.cluster.get("configmaps", name, deployed.namespace) or {}
            data = found.get("data") or {}
            for variable in _BASE_URLS:
                if data.get(variable):
                    return str(data[variable])
    return None
