"""Configuration of Airflow 2's web application, overridden by the project's own file if there is one."""

import os
import runpy
from pathlib import Path

AUTH_TYPE = 1  # flask_appbuilder.const.AUTH_DB, Airflow's default
WTF_CSRF_ENABLED = True
WTF_CSRF_TIME_LIMIT = None

_projects_own = Path(os.environ.get("AIRFLOW_HOME", ""), "webserver_config.py")
if _projects_own.is_file():
    globals().update(runpy.run_path(str(_projects_own)))
