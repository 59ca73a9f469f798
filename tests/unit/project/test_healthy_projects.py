"""Projects that work: the linter reports nothing about them."""

from pathlib import Path

import pytest

from astro_pulumi.project import read_project
from astro_pulumi.project.lint import lint
from tests.unit.project.broken_projects import GENERATED, PLAIN_RUNTIME, PRIVATE_KEY, RUNTIME
from tests.unit.project.projects import DAG, Changes, Fifo, Link, Script, write_project

REPOSITORY = Path(__file__).parents[3]
FRONTEND = "# syntax=quay.io/astronomer/airflow-extensions:v1\n"
SAMPLE_FERNET_KEY = "d6Vefz3G9U_ynXB3cr7y_" + "Ak35tAHkEGAVxuz_B-jzWw="
AZURITE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50u" + "SRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

HEALTHY: dict[str, Changes] = {
    "as made by astro dev init": {},
    "no .dockerignore": {".dockerignore": None},
    "CRLF in text": {
        "README.md": "# Sales\r\n",
        "requirements.txt": "pandas==2.2.3\r\nnumpy\r\n",
        "packages.txt": "jq\r\ngit\r\n",
        ".dockerignore": ".git\r\n.env\r\n",
        "Dockerfile": RUNTIME.replace("\n", "\r\n") + "RUN echo one \\\r\n && echo two\r\n",
        "dags/sales.py": DAG.replace("\n", "\r\n"),
        "include/query.sql": "SELECT 1;\r\n",
    },
    "byte order marks": {
        "Dockerfile": "\ufeff" + RUNTIME,
        "requirements.txt": "\ufeffpandas==2.2.3\n",
        "dags/sales.py": "\ufeff" + DAG,
        ".dockerignore": "\ufeff.git\n",
    },
    "comments and blank lines everywhere": {
        "Dockerfile": "# Airflow\n\n   # of ours\n" + RUNTIME + "\n# end\n",
        "requirements.txt": "# none yet\n\n",
        "packages.txt": "# none yet\n\njq   # for the reports\n",
    },
    "empty requirements and packages": {"requirements.txt": "", "packages.txt": ""},
    "every form of requirement": {
        "requirements.txt": "\n".join(
            (
                "pandas",
                "pandas[excel, aws]>=2.0,<3 ; python_version >= '3.9'",
                "apache-airflow-providers-postgres==1!2.3.0",
                "numpy (>=1.26)",
                "git+https://github.com/acme/library.git@v1.2#egg=library",
                "library2 @ https://pypi.acme.com/library2-1.0-py3-none-any.whl",
                "https://pypi.acme.com/library3-1.0.tar.gz",
                "/opt/wheels/library4-1.0-py3-none-any.whl",
                "library5==1.0 \\",
                "    --hash=sha256:0123456789abcdef",
                "--extra-index-url https://${USER}:${TOKEN}@pypi.acme.com/simple",
                "--no-binary :all:",
                "-c https://raw.githubusercontent.com/apache/airflow/constraints-3.1.0/constraints.txt",
                "ruff==0.15.4.post1",
                "pendulum~=3.0.0",
                "jinja2==3.*",
                "typing_extensions; sys_platform == 'linux'",
                "pydantic==2.9.0; python_version < '3.13'",
                "pydantic==2.11.0; python_version >= '3.13'",
                "airflow-provider-great-expectations!=0.2.1",
                "pandas>=2.*",
                "apache-airflow",
                "apache-airflow[amazon]>=3.1",
                "apache-airflow==2.10.4; python_version < '3.9'",
                "--extra-index-url https://pypi.acme.com/simple",
                "--find-links ./wheels",
                "",
            )
        )
    },
    "every form of package": {
        "packages.txt": "build-essential git\nlibstdc++6\ng++\nlibpq-dev=15.6-0+deb12u1\n"
        "libc6:amd64\npostgresql-client-*\n--allow-downgrades\nlamp-server^\nnano-\n"
    },
    "requirements from files, on a base without ONBUILD": {
        "Dockerfile": f"{PLAIN_RUNTIME}COPY . .\nRUN pip install -r requirements.txt\n",
        "requirements.txt": "-r requirements/base.txt\n-e ./packages/acme\n",
        "requirements/base.txt": "-c ../constraints.txt\npandas\n",
        "constraints.txt": "pandas==2.2.3\n",
        "packages/acme/pyproject.toml": "[project]\nname = 'acme'\n",
    },
    "neither requirements nor packages, on a base without ONBUILD": {
        "Dockerfile": f"{PLAIN_RUNTIME}COPY --chown=astro:0 . .\n",
        "requirements.txt": None,
        "packages.txt": None,
    },
    "apache/airflow, its version pinned as its documentation says": {
        "Dockerfile": "FROM apache/airflow:3.1.0-python3.12\nCOPY requirements.txt /\n"
        "RUN pip install -r /requirements.txt\n",
        "requirements.txt": "apache-airflow==3.1.0\npandas\n",
    },
    "a Dockerfile with everything": {
        "Dockerfile": "# syntax=docker/dockerfile:1.7\n# escape=\\\n"
        "ARG REGISTRY=astrocrpublic.azurecr.io\nARG TAG=3.1-5\n"
        "FROM --platform=$BUILDPLATFORM node:22 AS assets\n"
        "RUN npm ci && \\\n    # a comment in between\n\n    npm run build\n"
        "FROM ${REGISTRY:-docker.io}/runtime:${TAG} as airflow\n"
        'LABEL maintainer="data@acme.com" \\\n      version="1.0"\n'
        "COPY --from=assets /app/dist /usr/local/airflow/plugins/ui\n"
        "COPY --from=ghcr.io/astral-sh/uv:latest /uv /bin/\n"
        "COPY /include/helpers.py ./dags/../include/ /tmp/\n"
        "COPY include/*.py missing*.txt /tmp/\n"
        'COPY ["dags/sales.py", "/tmp/"]\n'
        "COPY <<EOF /etc/acme.conf\nFROM nothing\nendpoint = a\nEOF\n"
        "ADD https://acme.com/file.tar.gz /tmp/\n"
        "USER root\n"
        "RUN <<'SCRIPT' bash\nset -e\nINSTALL=1\napt-get update\nSCRIPT\n"
        "RUN --mount=type=secret,id=pip pip install acme && echo $((1<<2))\n"
        "ENV A=1 B='two words' C=${TAG}\nENV OLD style value\n"
        'SHELL ["/bin/bash", "-c"]\nHEALTHCHECK NONE\nEXPOSE 8080\nSTOPSIGNAL SIGTERM\n'
        "USER astro\nWORKDIR /usr/local/airflow\n"
        'ENTRYPOINT ["tini", "--", "/entrypoint"]\n',
    },
    "a stage built on a stage": {
        "Dockerfile": "FROM astrocrpublic.azurecr.io/runtime:3.1-5 AS base\nUSER root\n"
        "FROM base AS final\nUSER astro\nFROM final\n"
    },
    "a frontend of one's own": {
        "Dockerfile": "# syntax=quay.io/astronomer/airflow-extensions:latest\n"
        f"{RUNTIME}PYENV 3.8 snowpark requirements-snowpark.txt\n",
        "requirements-snowpark.txt": "snowflake-snowpark-python\n",
    },
    "an ENTRYPOINT that becomes the command": {
        "Dockerfile": f'{RUNTIME}COPY start.sh /\nENTRYPOINT ["tini", "--", "/start.sh"]\n',
        "start.sh": Script('#!/bin/bash\nsource /vault/env\nexec /entrypoint "$@"\n'),
    },
    "an ENTRYPOINT script with exec": {
        "Dockerfile": f'{RUNTIME}COPY start.sh /\nENTRYPOINT ["/start.sh"]\n',
        "start.sh": Script('#!/usr/bin/env bash\nset -e\n  exec "$@"\n'),
    },
    "everything ignored but what is needed": {
        ".dockerignore": "**\n!dags/\n!include/\n!requirements.txt\n!packages.txt\n**/__pycache__/\n",
        "secret.pem": "x",
        "dags/__pycache__/sales.cpython-312.pyc": b"\0",
    },
    "settings that are no secrets": {
        "Dockerfile": f"{RUNTIME}"
        "ENV AIRFLOW__SECRETS__BACKEND=airflow.providers.amazon.aws.secrets.Backend \\\n"
        '    AIRFLOW__SECRETS__BACKEND_KWARGS=\'{"connections_prefix": "airflow/connections"}\' \\\n'
        "    AIRFLOW__CORE__FERNET_KEY_SECRET=airflow-fernet-key \\\n"
        "    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET=sql_alchemy_conn \\\n"
        "    PASSWORD_FILE=/run/secrets/password TOKENIZERS_PARALLELISM=false \\\n"
        "    GITHUB_TOKEN=${GITHUB_TOKEN} DB_PASSWORD= USE_TOKEN=true SECRET_NAME=acme-db\n"
        "ARG NPM_TOKEN\nARG API_KEY=changeme\n"
    },
    "code that speaks of secrets": {
        "dags/sales.py": DAG
        + """
import os
password = os.environ["DB_PASSWORD"]
token = Variable.get("api_token")
api_key = "{{ var.value.api_key }}"
secret_name = "acme/prod/db"
KEY_HEADER = "-----BEGIN PRIVATE KEY-----"
pem = key.replace("-----BEGIN PRIVATE KEY-----", "").replace("-----END PRIVATE KEY-----", "")
password_field = "password_of_the_user"
conn_id, token_url = "snowflake_default", "https://auth.acme.com/oauth/token"
token = "airflow.providers.acme.hooks.TokenHook"
url = f"postgresql://{user}:{password}@{host}/db"
local = "postgresql://postgres:postgres@localhost:5432/db"
private_key = "<your private key>"
api_key = "xxxxxxxxxxxxxxxxxxxx"
AWS_EXAMPLE = "AKIA" "IOSFODNN7EXAMPLE"
""",
        "include/profiles.yml": "acme:\n  password: \"{{ env_var('SNOWFLAKE_PASSWORD') }}\"\n"
        "  private_key_path: /run/secrets/key.p8\n  token: !vault something\n  secret: ${SECRET}\n",
    },
    "templates of environment variables": {
        ".env.example": "API_TOKEN=t7Gk2pQ9xLw4Zr8NvB3mYc6D\n",
        ".env.template": "A=\n",
        "airflow_settings.yaml.example": "airflow:\n",
    },
    "DAGs of all kinds": {
        "dags/classic.py": "from airflow import DAG\n"
        "with DAG('classic', schedule=None) as dag:\n    pass\n",
        "dags/factory.py": "from airflow.sdk import DAG\n\n"
        "def make(name):\n    return DAG(dag_id=name)\n\n"
        "for name in ('sales', 'x'):\n    globals()[name] = make(name)\n",
        "dags/branches.py": "import os\nfrom airflow.sdk import DAG\n"
        "if os.environ.get('PROD'):\n    dag = DAG('sales')\nelse:\n    dag = DAG('sales')\n",
        "dags/fstring.py": "from airflow.sdk import DAG\nN = 'a'\n"
        "d1 = DAG(f'{N}_one')\nd2 = DAG(N + '_two')\n",
        "dags/other_dag.py": "from networkx import DAG\n# no airflow\nDAG('sales')\n",
        "dags/yaml_dags.py": "# airflow dag-factory\n"
        "from dagfactory import load_yaml_dags\nload_yaml_dags(globals())\n",
        "dags/exported.py": "from airflow.sdk import dag\n__all__ = ['lib']\n"
        "@dag\ndef lib():\n    pass\n",
        "dags/kwargs.py": "from airflow.sdk import dag\nARGS = {}\n@dag(**ARGS)\n"
        "def sales():\n    pass\nsales()\n",
        "dags/chained.py": "from airflow.decorators import dag as airflow_dag\n"
        "@airflow_dag(dag_id='chained-v1.0')\ndef f():\n    pass\nd = f()\n",
        "dags/test_dag.py": "from airflow.sdk import dag\n@dag\ndef other():\n"
        "    pass\n\nx = [other()]\n",
        "dags/unicode.py": "from airflow.sdk import DAG\nd = DAG('größe')\n",
    },
    "files that Airflow does not read": {
        "dags/.airflowignore": "# for Airflow 3: globs\nhelpers/\n"
        "*_template.py\n/old.py\n!keep_template.py\n",
        "dags/helpers/airflow_dag.py": "{% if airflow %}\ndag = {{ name }}\n",
        "dags/team/dag_template.py": "airflow {{ dag }}\n",
        "dags/old.py": DAG,
    },
    "a syntax error in tests, which nobody imports": {"tests/dags/broken.py": "def (:\n"},
    "syntax warnings": {"dags/sales.py": DAG + "PATTERN = '\\d+'\nif PATTERN is 'x':\n    pass\n"},
    "an encoding of one's own": {
        "dags/sales.py": b"# -*- coding: latin-1 -*-\n" + DAG.encode() + b"NAME = 'caf\xe9'\n"
    },
    "links within the project": {
        "include/latest.py": Link("helpers.py"),
        "dags/shared": Link("../include"),
        "plugins/common.py": Link("../include/helpers.py"),
    },
    "names in any language": {"include/Größe/注文.csv": "1\n", "include/a b (1).csv": "1\n"},
    "a local Airflow, all of it ignored": {
        ".env": "A=1\n",
        "airflow_settings.yaml": "airflow:\n",
        "airflow.db": b"SQLite format 3\0",
        ".venv/pyvenv.cfg": "home = /usr/bin\n",
        ".venv/bin/python": Link("/usr/bin/python3"),
        ".astro/config.yaml": "project:\n  name: sales\n",
        "logs/scheduler/latest": Link("/usr/local/airflow/logs"),
    },
    "DAGs from elsewhere": {
        "dags/sales.py": None,
        "dags/.gitkeep": "",
        "Dockerfile": f"{RUNTIME}COPY include/ ./dags/\n",
    },
    "zipped DAGs": {"dags/sales.py": None, "dags/sales.zip": b"PK\5\6" + b"\0" * 18},
    "a public sample as Fernet key": {
        "compose.yaml": f'environment:\n  AIRFLOW__CORE__FERNET_KEY: "{SAMPLE_FERNET_KEY}"\n'
        '  AIRFLOW__WEBSERVER__SECRET_KEY: "sales_6ace21"\n',
        "config/airflow.cfg": f"[core]\nfernet_key = {SAMPLE_FERNET_KEY}\n"
        "[api_auth]\njwt_secret = airflow_jwt_secret\n",
        "include/azurite.py": f'CONNECTION = "AccountName=a;AccountKey={AZURITE_KEY};"\n',
    },
    "secrets in templates": {
        f"{name}": f"FERNET_KEY={GENERATED}\nTOKEN: '{GENERATED}'\n{PRIVATE_KEY}"
        for name in (".env.example", "config.example.yaml", "compose.yaml.sample", "env.j2")
    },
    "secrets of tests, in text and in installed packages": dict.fromkeys(
        (
            *("tests/conftest.py", "tests/fixtures/key.pem", "README.md"),
            *("env/lib/site-packages/client.py", "ui/node_modules/client/config.json"),
        ),
        f'token = "{GENERATED}"\n{PRIVATE_KEY}',
    ),
    "spare local settings without values": {
        "airflow_settings_bkp.yaml": "airflow:\n  connections:\n    - conn_id:\n"
        "      conn_password:\n      conn_extra:\n        example_extra_field: example-value\n"
        "  variables:\n    - variable_name:\n      variable_value:\n",
    },
    "placeholders": {
        "dags/sales.py": DAG
        + """
token = "fake-auth-token-123"
mock_api_key = "test_api_key_12345"
test_password = "Sommer2026!"
password = "my-database-password-1"
secret = "change-in-production-2026"
url = "mysql://etl:Sommer2026@warehouse/db"
"""
    },
    "DAGs in a folder that the Dockerfile copies and configures": {
        "Dockerfile": "FROM apache/airflow:2.10.4\nCOPY backend /opt/airflow/backend\n"
        "ENV AIRFLOW__CORE__DAGS_FOLDER=/opt/airflow/backend/dags\n",
        **dict.fromkeys(("dags/sales.py", "packages.txt", "requirements.txt")),
        "backend/dags/sales.py": DAG,
    },
    "DAGs from git": {
        "Dockerfile": f"{RUNTIME}RUN git clone https://github.com/acme/sales /usr/local/airflow/dags\n",
        "dags/sales.py": None,
    },
    "no packages.txt, on a base without ONBUILD": {
        "Dockerfile": "FROM apache/airflow:3.1.0\n",
        "packages.txt": None,
    },
    "requirements that nothing installs": {
        "Dockerfile": "FROM apache/airflow:3.1.0\nCOPY . .\n",
        "requirements.txt": "pandas=2\napache-airflow==2.8\n-r more.txt\n",
        "packages.txt": "PANDAS\n",
    },
    "a base without ONBUILD, and a frontend that does its work": {
        "Dockerfile": f"{FRONTEND}FROM quay.io/astronomer/astro-runtime:12.1.0-base\n"
        "PYENV 3.8 snowpark requirements.txt\n",
        "packages.txt": None,
    },
    "a stage that the build skips": {
        "Dockerfile": f"FROM node:22 AS site\nCOPY package.json /\nFROM node:22 AS used\n{RUNTIME}"
        "COPY --from=used /a /b\n",
    },
    "an ENTRYPOINT, a CMD and a USER": {
        "Dockerfile": f'{RUNTIME}USER root\nENTRYPOINT ["/start.sh"]\nCMD airflow standalone\n'
    },
    "local files that .dockerignore does not name": {
        ".dockerignore": ".git\n",
        ".env": f"API_TOKEN={GENERATED}\n",
        "airflow_settings.yaml": "airflow:\n",
    },
    "DAGs that the release Job reports": {
        "dags/a.py": "from airflow.sdk import DAG\nDAG('a b')\nDAG('c')\nDAG('c')\n",
        "dags/b.py": "from airflow.sdk import DAG\nDAG('c')\n",
        "dags/c.py": "print('hello')\n",
    },
    "a socket": {"include/socket": Fifo()},
    "a name in Latin 1": {"include/caf\udce9/menu.csv": "1\n"},
    "a code template": {"include/template.py": "from airflow import DAG\ndag_id = $dag_id\n"},
    "another encoding of requirements": {"requirements.txt": "pandas\r\n".encode("utf-16")},
    "a large data file": {"include/data.csv": "1,2,3\n" * 300_000},
}


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_found(name: str, tmp_path: Path) -> None:
    write_project(tmp_path, HEALTHY[name])
    assert [str(each) for each in lint(tmp_path)] == []
    assert read_project(tmp_path).base_image


def test_the_example_is_healthy() -> None:
    assert lint(REPOSITORY / "examples" / "quickstart" / "project") == []
