"""A plugin of the webserver that gives archives of DAGs to workers.

It is registered by an entry point. Requests are signed by the webserver's secret key, which workers have for
logs. The page of a version, for people, leads to the commit.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

import astro_dag_store
import astro_dags
from airflow.plugins_manager import AirflowPlugin
from astro_dag_bundle import NOT_STORED, from_database


class DagArchives(AirflowPlugin):  # type: ignore[misc, unused-ignore]
    """The plugin."""

    name = "astro-pulumi-dags"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override, unused-ignore]
        """The application. Only the webserver asks for it, so no other process imports FastAPI for it."""
        app = make_app()
        return [{"app": app, "url_prefix": astro_dags.PREFIX, "name": "DAG archives"}]


def make_app() -> Any:
    """Return the application."""
    from fastapi import FastAPI, Request, Response
    from fastapi.responses import PlainTextResponse, RedirectResponse

    app = FastAPI(title="DAG archives", docs_url=None, redoc_url=None, openapi_url=None)

    def answer(path: str, signature: str, content: Any) -> Response:
        if not astro_dags.is_signed(path, os.environ["AIRFLOW__API__SECRET_KEY"], signature):
            return PlainTextResponse("not signed", 403)
        found = from_database(content)
        if found is None:
            return PlainTextResponse(NOT_STORED.decode(), 404)
        return Response(found, media_type="application/octet-stream")

    def archive(request: Request) -> Response:
        version = request.path_params["version"]
        signature = request.headers.get(astro_dags.SIGNATURE, "")
        path = f"{astro_dags.ARCHIVES}/{version}"
        return answer(path, signature, lambda cursor: astro_dag_store.read(cursor, version))

    def pointer(request: Request) -> Response:
        key = request.path_params["key"]
        signature = request.headers.get(astro_dags.SIGNATURE, "")
        path = f"{astro_dags.POINTERS}/{key}"
        return answer(path, signature, lambda cursor: astro_dag_store.pointer(cursor, key))

    def version(request: Request) -> Response:
        name = request.path_params["version"]
        url = from_database(lambda cursor: astro_dag_store.url(cursor, name))
        if url is None:
            return PlainTextResponse(f"No git remote is known for version {name}.", 404)
        return RedirectResponse(url)

    # Plain functions run in threads, so that the event loop does not wait for the database.
    app.router.add_route(f"{astro_dags.ARCHIVES}/{{version}}", archive, methods=["GET"])
    app.router.add_route(f"{astro_dags.POINTERS}/{{key}}", pointer, methods=["GET"])
    app.router.add_route(f"{astro_dags.VERSIONS}/{{version}}", version, methods=["GET"])
    return app
