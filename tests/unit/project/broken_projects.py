"""Broken projects: what is changed in a healthy one, and the finding that must come of it.

Secrets are put together here, so that no scanner takes them for real ones.
"""

from dataclasses import dataclass
from typing import Final

from tests.unit.project.projects import DAG, Changes, Fifo, Link, Script, Sparse

RUNTIME: Final = "FROM astrocrpublic.azurecr.io/runtime:3.1-5\n"
PLAIN_RUNTIME: Final = "FROM astrocrpublic.azurecr.io/runtime:3.1-5-base\n"

PLAIN_PROJECT: Final = f"{PLAIN_RUNTIME}COPY . .\n"

KEY_BODY: Final = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PRIVATE_KEY: Final = f"-----BEGIN PRIVATE {'KEY'}-----\n{KEY_BODY}\n-----END PRIVATE {'KEY'}-----\n"
AWS_KEY: Final = "AKIA" + "Q3EGRI5N2X7PT4VB"
AWS_SECRET: Final = "hV9q2LrT7" + "wZ4yKcN0bXs8mJfDg3PaUe6iRtQ1oWk"
GITHUB_TOKEN: Final = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
SLACK_TOKEN: Final = "xox" + "b-123456789012-AbCdEfGhIjKlMnOpQrStUvWx"
DATABRICKS_TOKEN: Final = "dapi" + "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
FERNET_KEY: Final = "Zm9yLXRlc3Rz" + "LW9ubHktbm90LWEtcmVhbC1rZXktMTI="
GENERATED: Final = "t7Gk2pQ9xLw4Zr8N" + "vB3mYc6D"
HUMAN: Final = "Sommer" + "2026!"
SECRETS: Final = (
    KEY_BODY,
    AWS_KEY,
    AWS_SECRET,
    GITHUB_TOKEN,
    SLACK_TOKEN,
    DATABRICKS_TOKEN,
    FERNET_KEY,
    GENERATED,
    HUMAN,
)


@dataclass(frozen=True)
class Broken:
    """One broken project. What is healthy besides is in `projects.HEALTHY`."""

    name: str
    changes: Changes
    code: str
    file: str
    line: int | None
    says: str  # part of the message
    others: frozenset[str] = frozenset()  # codes that are found as well, and rightly


def _dag(dag_id: str) -> str:
    return f'from airflow.sdk import DAG\n\nwith DAG("{dag_id}", schedule=None):\n    pass\n'


PROJECT: Final = (
    Broken(
        "no Dockerfile and no dags",
        dict.fromkeys(("Dockerfile", "dags/sales.py")),
        "AP102",
        ".",
        None,
        "this is not an Astro project",
    ),
    Broken("no Dockerfile", {"Dockerfile": None}, "AP103", ".", None, "there is no Dockerfile"),
    Broken(
        "Dockerfile in lower case",
        {"Dockerfile": None, "dockerfile": RUNTIME},
        "AP103",
        ".",
        None,
        "there is no Dockerfile",
    ),
    Broken(
        "no requirements.txt",
        {"requirements.txt": None},
        "AP104",
        "requirements.txt",
        None,
        "requirements.txt is missing",
    ),
    Broken(
        "no packages.txt",
        {"packages.txt": None},
        "AP105",
        "packages.txt",
        None,
        "packages.txt is missing",
    ),
    Broken(
        "no packages.txt for the build steps that are added",
        {"Dockerfile": "FROM apache/airflow:3.1.0\n", "packages.txt": None},
        "AP105",
        "packages.txt",
        None,
        "packages.txt is missing",
    ),
    Broken(
        "requirements.txt is ignored",
        {".dockerignore": ".git\n*.txt\n!packages.txt\n"},
        "AP106",
        ".dockerignore",
        2,
        "keeps out requirements.txt",
    ),
    Broken(
        "everything is ignored, and packages.txt is forgotten",
        {".dockerignore": "*\n!dags\n!requirements.txt\n"},
        "AP106",
        ".dockerignore",
        1,
        "keeps out packages.txt",
    ),
    Broken(
        "an ignore pattern without its bracket",
        {".dockerignore": ".git\ndata/[0-9\n"},
        "AP107",
        ".dockerignore",
        2,
        "'data/[0-9'",
    ),
    Broken(
        "a lone exclamation mark",
        {".dockerignore": "!\n"},
        "AP107",
        ".dockerignore",
        1,
        "'!'",
    ),
    Broken(
        "a virtual environment in the image",
        {"env/pyvenv.cfg": "home = /usr/bin\n", "env/bin/python": Link("/usr/bin/python3")},
        "AP109",
        "env",
        None,
        "a virtual environment goes into the image",
    ),
    Broken(
        "node_modules in the image",
        {"include/site/node_modules/left-pad/index.js": "module.exports = 1\n"},
        "AP109",
        "include/site/node_modules",
        None,
        "goes into the image",
    ),
    Broken(
        "local settings that .dockerignore does not name",
        {".dockerignore": ".git\n", ".env": "A=1\n", "airflow_settings.yaml": "airflow:\n"},
        "AP110",
        ".dockerignore",
        None,
        "does not name .env, airflow_settings.yaml",
    ),
)

DOCKERFILE: Final = (
    Broken("empty Dockerfile", {"Dockerfile": ""}, "AP201", "Dockerfile", 1, "is empty"),
    Broken("only comments", {"Dockerfile": "# to do\n\n"}, "AP201", "Dockerfile", 1, "is empty"),
    Broken("no FROM", {"Dockerfile": "RUN echo\n"}, "AP202", "Dockerfile", 1, "must be FROM"),
    Broken(
        "FROM comes too late",
        {"Dockerfile": f"ENV A=1\n{RUNTIME}"},
        "AP202",
        "Dockerfile",
        1,
        "must be FROM",
    ),
    Broken(
        "FROM is misspelt",
        {"Dockerfile": "FORM astrocrpublic.azurecr.io/runtime:3.1-5\n"},
        "AP202",
        "Dockerfile",
        1,
        "FORM is not a Dockerfile instruction",
    ),
    Broken(
        "FROM without an image", {"Dockerfile": "FROM\n"}, "AP203", "Dockerfile", 1, "one image"
    ),
    Broken(
        "FROM with a comment behind it",
        {"Dockerfile": "FROM astrocrpublic.azurecr.io/runtime:3.1-5 # ours\n"},
        "AP203",
        "Dockerfile",
        1,
        "one image",
    ),
    Broken(
        "FROM in capitals",
        {"Dockerfile": "FROM quay.io/Astronomer/Astro-Runtime:3.1-5\n"},
        "AP203",
        "Dockerfile",
        1,
        "is not the name of an image",
    ),
    Broken(
        "FROM with an ARG without value",
        {"Dockerfile": "ARG TAG\nFROM astrocrpublic.azurecr.io/runtime:${TAG}\n"},
        "AP204",
        "Dockerfile",
        2,
        "$TAG, which has no value",
    ),
    Broken(
        "FROM without a tag",
        {"Dockerfile": "FROM quay.io/astronomer/astro-runtime\n"},
        "AP205",
        "Dockerfile",
        1,
        "it has no tag",
    ),
    Broken(
        "FROM latest",
        {"Dockerfile": "# ours\nFROM quay.io/astronomer/astro-runtime:latest\n"},
        "AP205",
        "Dockerfile",
        2,
        "it has the tag latest",
    ),
    Broken(
        "FROM latest of one Python",
        {"Dockerfile": "FROM apache/airflow:latest-python3.12\n"},
        "AP205",
        "Dockerfile",
        1,
        "it has the tag latest-python3.12",
    ),
    Broken(
        "Airflow 1",
        {"Dockerfile": "FROM apache/airflow:1.10.15\n"},
        "AP206",
        "Dockerfile",
        1,
        "carries Airflow 1.10.15",
    ),
    Broken(
        "Airflow 2 of old",
        {"Dockerfile": "FROM quay.io/astronomer/astro-runtime:8.8.0\n"},
        "AP206",
        "Dockerfile",
        1,
        "carries Airflow 2.6",
    ),
    Broken(
        "Astronomer Certified",
        {"Dockerfile": "FROM quay.io/astronomer/ap-airflow:2.2.4-2-onbuild\n"},
        "AP206",
        "Dockerfile",
        1,
        "Astronomer Certified",
    ),
    Broken(
        "a runtime that does not exist",
        {"Dockerfile": "FROM quay.io/astronomer/astro-runtime:99.0.0\n"},
        "AP206",
        "Dockerfile",
        1,
        "there is no Astro Runtime 99.0.0",
    ),
    Broken(
        "a runtime without its number",
        {"Dockerfile": "FROM astrocrpublic.azurecr.io/runtime:3.1\n"},
        "AP206",
        "Dockerfile",
        1,
        "there is no Astro Runtime 3.1",
    ),
    Broken(
        "an image of one's own",
        {"Dockerfile": "FROM ghcr.io/acme/airflow-base:7\n"},
        "AP207",
        "Dockerfile",
        1,
        "does not say which Airflow it carries",
    ),
    Broken(
        "a continued line without its backslash",
        {"Dockerfile": f"{RUNTIME}RUN apt-get update &&\n    apt-get install -y jq\n"},
        "AP208",
        "Dockerfile",
        3,
        "APT-GET is not a Dockerfile instruction",
    ),
    Broken(
        "COPY of a file that is not there",
        {"Dockerfile": f"{RUNTIME}COPY dbt-requirements.txt \\\n     scripts/setup.sh ./\n"},
        "AP209",
        "Dockerfile",
        3,
        "COPY of scripts/setup.sh: there is no such file",
        others=frozenset({"AP209"}),
    ),
    Broken(
        "COPY of a file that is ignored",
        {
            "Dockerfile": f'{RUNTIME}COPY --chown=astro:0 ["data/seed.csv", "/tmp/"]\n',
            ".dockerignore": "data\n",
            "data/seed.csv": "1\n",
        },
        "AP209",
        "Dockerfile",
        2,
        "COPY of data/seed.csv: .dockerignore keeps it out",
    ),
    Broken(
        "COPY of a local file",
        {"Dockerfile": f"{RUNTIME}COPY airflow.cfg .\n", "airflow.cfg": "[core]\n"},
        "AP209",
        "Dockerfile",
        2,
        "it belongs to the local Airflow",
    ),
    Broken(
        "ENTRYPOINT in shell form",
        {"Dockerfile": f"{RUNTIME}ENTRYPOINT /entrypoint\n"},
        "AP210",
        "Dockerfile",
        2,
        "no signal reaches Celery",
    ),
    Broken(
        "ENTRYPOINT with sh -c",
        {"Dockerfile": f'{RUNTIME}ENTRYPOINT ["bash", "-c", "source /env; airflow $0"]\n'},
        "AP210",
        "Dockerfile",
        2,
        "no signal reaches Celery",
    ),
    Broken(
        "ENTRYPOINT with a script that stays",
        {
            "Dockerfile": f'{RUNTIME}COPY start.sh /\nENTRYPOINT ["/start.sh"]\n',
            "start.sh": Script('#!/bin/bash\nsource /vault/env\n/entrypoint "$@"\n'),
        },
        "AP210",
        "Dockerfile",
        3,
        "as a child of /start.sh",
    ),
    Broken(
        "ENTRYPOINT without init",
        {"Dockerfile": f'{RUNTIME}ENTRYPOINT ["airflow"]\n'},
        "AP211",
        "Dockerfile",
        2,
        "replaces the base image's init",
    ),
    Broken(
        "CMD",
        {"Dockerfile": f"{RUNTIME}CMD astro dev start\n"},
        "AP212",
        "Dockerfile",
        2,
        "no effect",
    ),
    Broken(
        "root at the end",
        {"Dockerfile": f"{RUNTIME}USER root\nRUN apt-get update\n"},
        "AP213",
        "Dockerfile",
        2,
        "ends as root",
    ),
    Broken(
        "CRLF in a script that the build runs",
        {
            "Dockerfile": f"{RUNTIME}COPY setup.sh /tmp/\nRUN bash /tmp/setup.sh\n",
            "setup.sh": Script("#!/bin/bash\r\necho hello\r\n"),
        },
        "AP214",
        "setup.sh",
        1,
        "Dockerfile:3 runs it",
    ),
    Broken(
        "CRLF in a script of a DAG",
        {"include/export.sh": Script("#!/bin/bash\necho one\r\n")},
        "AP215",
        "include/export.sh",
        2,
        "Windows line ends",
    ),
)

REQUIREMENTS: Final = (
    Broken(
        "apache-airflow is pinned",
        {"requirements.txt": "pandas\napache-airflow==3.1.0\n"},
        "AP301",
        "requirements.txt",
        2,
        "brings its own Airflow",
    ),
    Broken(
        "apache-airflow with extras is pinned",
        {"requirements.txt": "Apache_Airflow[amazon, google] >= 3.0 # ours\n"},
        "AP301",
        "requirements.txt",
        1,
        "brings its own Airflow",
    ),
    Broken(
        "another Airflow for a plain image",
        {
            "Dockerfile": "FROM apache/airflow:3.1.0\nCOPY requirements.txt .\n",
            "requirements.txt": "apache-airflow==3.0.6\n",
        },
        "AP301",
        "requirements.txt",
        1,
        "brings its own Airflow",
    ),
    Broken(
        "an included file, which the added build steps do not copy",
        {
            "Dockerfile": "FROM apache/airflow:3.1.0\n",
            "requirements.txt": "-r more.txt\n",
            "more.txt": "pandas\n",
        },
        "AP305",
        "requirements.txt",
        1,
        "is not there when requirements.txt is installed",
    ),
    Broken(
        "apache-airflow is listed",
        {"requirements.txt": "apache-airflow\n"},
        "AP302",
        "requirements.txt",
        1,
        "is not needed here",
    ),
    Broken(
        "one equals sign",
        {"requirements.txt": "pandas=2.2.3\n"},
        "AP303",
        "requirements.txt",
        1,
        "'pandas=2.2.3' is not a requirement",
    ),
    Broken(
        "a version without a sign",
        {"requirements.txt": "# data\n\npandas 2.2.3\n"},
        "AP303",
        "requirements.txt",
        3,
        "is not a requirement",
    ),
    Broken(
        "pip install",
        {"requirements.txt": "pip install pandas\n"},
        "AP303",
        "requirements.txt",
        1,
        "is not a requirement",
    ),
    Broken(
        "a marker that is none",
        {"requirements.txt": "pandas==2.2.3; python > 3.8\n"},
        "AP303",
        "requirements.txt",
        1,
        "is not a requirement",
    ),
    Broken(
        "an option that pip does not take",
        {"requirements.txt": "--upgrade\npandas\n"},
        "AP303",
        "requirements.txt",
        1,
        "is not an option",
    ),
    Broken(
        "a version that only old pip understands",
        {"requirements.txt": "pandas>=2.*\n"},
        "AP304",
        "requirements.txt",
        1,
        "only pip before 24.1 understands",
    ),
    Broken(
        "an included file, which the base image does not copy",
        {"requirements.txt": "-r include/more.txt\n", "include/more.txt": "pandas\n"},
        "AP305",
        "requirements.txt",
        1,
        "is not there when requirements.txt is installed",
    ),
    Broken(
        "an included file that is missing",
        {"Dockerfile": PLAIN_PROJECT, "requirements.txt": "pandas\n-c constraints.txt\n"},
        "AP305",
        "requirements.txt",
        2,
        "there is no constraints.txt in the image",
    ),
    Broken(
        "a package of one's own that is missing",
        {"Dockerfile": PLAIN_PROJECT, "requirements.txt": "./packages/acme[all]\n"},
        "AP305",
        "requirements.txt",
        1,
        "there is no packages/acme in the image",
    ),
    Broken(
        "two versions",
        {"requirements.txt": "pandas==2.2.3\nnumpy\nPandas == 2.1\n"},
        "AP306",
        "requirements.txt",
        3,
        "contradicts 'pandas==2.2.3' in requirements.txt:1",
    ),
    Broken(
        "two versions in two files",
        {
            "Dockerfile": PLAIN_PROJECT,
            "requirements.txt": "pandas==2.2.3\n-r more.txt\n",
            "more.txt": "pandas==2.1\n",
        },
        "AP306",
        "more.txt",
        1,
        "in requirements.txt:1",
    ),
    Broken(
        "requirements from PowerShell",
        {"requirements.txt": "pandas==2.2.3\r\n".encode("utf-16")},
        "AP307",
        "requirements.txt",
        None,
        "it is UTF-16",
    ),
    Broken(
        "packages from PowerShell",
        {"packages.txt": "jq\r\n".encode("utf-16")},
        "AP308",
        "packages.txt",
        None,
        "it is UTF-16",
    ),
    Broken(
        "a Python package among Debian's",
        {"packages.txt": "jq\n  libpq-dev pandas==2.2.3\n"},
        "AP308",
        "packages.txt",
        2,
        "'pandas==2.2.3' is not the name of a Debian package",
    ),
    Broken(
        "a Debian package in capitals",
        {"packages.txt": "# for images\nImageMagick\n"},
        "AP308",
        "packages.txt",
        2,
        "'ImageMagick' is not the name",
    ),
)

SECRET_FILES: Final = (
    Broken(
        "a private key",
        {"include/keys/rsa_key.p8": PRIVATE_KEY},
        "AP401",
        "include/keys/rsa_key.p8",
        1,
        "a private key",
    ),
    Broken(
        "a service account of Google",
        {
            "include/gcp.json": '{"type": "service_account",\n "private_key": "'
            + PRIVATE_KEY.replace("\n", "\\n")
            + '"}\n'
        },
        "AP401",
        "include/gcp.json",
        2,
        "a private key",
    ),
    Broken(
        "an AWS key in a DAG",
        {"dags/sales.py": f'{DAG}KEY = "{AWS_KEY}"\n'},
        "AP402",
        "dags/sales.py",
        14,
        "an AWS access key",
    ),
    Broken(
        "an AWS secret in a configuration file",
        {"include/aws.ini": f"[default]\naws_secret_access_key = {AWS_SECRET}\n"},
        "AP402",
        "include/aws.ini",
        2,
        "an AWS secret access key",
    ),
    Broken(
        "a GitHub token in the Dockerfile",
        {
            "Dockerfile": f"{RUNTIME}RUN pip install git+https://{GITHUB_TOKEN}@github.com/acme/lib\n"
        },
        "AP402",
        "Dockerfile",
        2,
        "a GitHub token",
    ),
    Broken(
        "a Slack token",
        {"include/slack.yaml": f"token: {SLACK_TOKEN}\n"},
        "AP402",
        "include/slack.yaml",
        1,
        "a Slack token",
        others=frozenset({"AP408"}),
    ),
    Broken(
        "a Databricks token in a notebook",
        {"include/notebook.ipynb": f'{{"source": ["token = {DATABRICKS_TOKEN}"]}}\n'},
        "AP402",
        "include/notebook.ipynb",
        1,
        "a Databricks token",
    ),
    Broken(
        "a password in ENV",
        {"Dockerfile": f"{RUNTIME}ENV A=1 \\\n    SNOWFLAKE_PASSWORD={HUMAN}\n"},
        "AP403",
        "Dockerfile",
        3,
        "ENV SNOWFLAKE_PASSWORD",
    ),
    Broken(
        "a Connection in ENV",
        {
            "Dockerfile": f"{RUNTIME}ENV AIRFLOW_CONN_DB='postgres://etl:{HUMAN}@db.acme.com:5432/x'\n"
        },
        "AP403",
        "Dockerfile",
        2,
        "ENV AIRFLOW_CONN_DB",
    ),
    Broken(
        "a token as default of ARG",
        {"Dockerfile": f"ARG INDEX_TOKEN={GENERATED}\n{RUNTIME}"},
        "AP403",
        "Dockerfile",
        1,
        "ARG INDEX_TOKEN",
    ),
    Broken(
        "a password in an address that RUN uses",
        {
            "Dockerfile": f"{RUNTIME}RUN pip install --index-url \\\n"
            f"    https://ci:{GENERATED}@pypi.acme.com/simple lib\n"
        },
        "AP403",
        "Dockerfile",
        3,
        "the address of pypi.acme.com",
    ),
    Broken(
        "a default password in ENV",
        {
            "Dockerfile": f"{RUNTIME}ENV AIRFLOW_CONN_DB=postgres://postgres:postgres@postgres/postgres\n"
        },
        "AP404",
        "Dockerfile",
        2,
        "a default password",
    ),
    Broken(
        "local settings under another name",
        {"include/airflow_settings_prod.yaml": "airflow:\n  connections: []\n"},
        "AP405",
        "include/airflow_settings_prod.yaml",
        None,
        "belongs to the local Airflow",
    ),
    Broken(
        "environment variables in a file",
        {".env.production": "LEVEL=info\n"},
        "AP406",
        ".env.production",
        None,
        "Airflow does not read from a file",
    ),
    Broken(
        "a real secret among environment variables",
        {"include/prod.env": f'LEVEL=info\nexport API_TOKEN="{GENERATED}"\n'},
        "AP407",
        "include/prod.env",
        2,
        "API_TOKEN looks like a real secret",
        others=frozenset({"AP406"}),
    ),
    Broken(
        "a Fernet key",
        {"Dockerfile": f"{RUNTIME}ENV AIRFLOW__CORE__FERNET_KEY={FERNET_KEY}\n"},
        "AP407",
        "Dockerfile",
        2,
        "a Fernet key",
        others=frozenset({"AP403"}),
    ),
    Broken(
        "a password in a DAG",
        {
            "dags/sales.py": DAG.replace(
                "schedule=None", f'schedule=None, params=dict(password="{HUMAN}")'
            )
        },
        "AP408",
        "dags/sales.py",
        4,
        "password seems to have a password",
    ),
    Broken(
        "a password in a profile of dbt",
        {"include/dbt/profiles.yml": f"acme:\n  target: dev\n  password: {HUMAN}\n"},
        "AP408",
        "include/dbt/profiles.yml",
        3,
        "password seems to have a password",
    ),
    Broken(
        "a password for a package index",
        {
            "requirements.txt": f"--extra-index-url https://ci:{HUMAN}@pypi.acme.com/simple\nlib==1.0\n"
        },
        "AP409",
        "requirements.txt",
        1,
        "the address of pypi.acme.com has a password",
    ),
    Broken(
        "credentials of AWS",
        {".aws/credentials": "[default]\n"},
        "AP410",
        ".aws/credentials",
        None,
        "a tool keeps its credentials in it",
    ),
    Broken(
        "a key store",
        {"include/client.p12": b"\0\1"},
        "AP411",
        "include/client.p12",
        None,
        "a key store",
    ),
)

DAGS: Final = (
    Broken(
        "no dags/", {"dags/sales.py": None}, "AP501", "dags", None, "there is no directory dags/"
    ),
    Broken(
        "dags/ is empty",
        {"dags/sales.py": None, "dags/.gitkeep": ""},
        "AP501",
        "dags",
        None,
        "there is no Python file in dags/",
    ),
    Broken(
        "dags/ is ignored",
        {".dockerignore": "dags\n"},
        "AP501",
        "dags",
        None,
        "keeps all of dags/ out",
    ),
    Broken(
        "Airflow ignores dags/",
        {"dags/.airflowignore": "*\n"},
        "AP501",
        "dags",
        None,
        ".airflowignore keeps Airflow from reading",
    ),
    Broken(
        "no DAG in dags/",
        {"dags/sales.py": "print('hello')\n"},
        "AP501",
        "dags",
        None,
        "no file in dags/ has a DAG in it",
    ),
    Broken(
        "a syntax error",
        {"dags/sales.py": DAG.replace("schedule=None)", "schedule=None")},
        "AP502",
        "dags/sales.py",
        4,
        "'(' was never closed",
    ),
    Broken(
        "wrong indentation",
        {"dags/sales.py": DAG.replace("    load()", "  load()")},
        "AP502",
        "dags/sales.py",
        10,
        "wrong indentation",
    ),
    Broken(
        "tabs and spaces",
        {"dags/sales.py": DAG.replace("        print", "\tprint")},
        "AP502",
        "dags/sales.py",
        8,
        "tabs and spaces",
    ),
    Broken(
        "return outside of a function",
        {"dags/sales.py": f"{DAG}return 1\n"},
        "AP502",
        "dags/sales.py",
        14,
        "'return' outside function",
    ),
    Broken(
        "Python 2",
        {"dags/sales.py": f"{DAG}print 'done'\n"},
        "AP502",
        "dags/sales.py",
        14,
        "Missing parentheses in call to 'print'",
    ),
    Broken(
        "a merge conflict",
        {"dags/sales.py": f"{DAG}<<<<<<< HEAD\nA = 1\n=======\nA = 2\n>>>>>>> feature\n"},
        "AP502",
        "dags/sales.py",
        14,
        "a merge conflict is left",
    ),
    Broken(
        "bytes that are no text",
        {"dags/sales.py": DAG.encode() + b"A = 'caf\xe9'\n"},
        "AP502",
        "dags/sales.py",
        14,
        "utf-8",
    ),
    Broken(
        "null bytes",
        {"dags/sales.py": DAG.encode() + b"A = '\0'\n"},
        "AP502",
        "dags/sales.py",
        14,
        "null bytes",
    ),
    Broken(
        "a plugin with a syntax error",
        {"plugins/macros.py": "def now(:\n    pass\n"},
        "AP502",
        "plugins/macros.py",
        1,
        "invalid syntax",
    ),
    Broken(
        "syntax that a newer Python may take",
        {"dags/sales.py": f"{DAG}class Box[T: (int for x)]:\n    pass\n"},
        "AP503",
        "dags/sales.py",
        14,
        "a newer one may",
    ),
    Broken(
        "a syntax error in include/",
        {"include/helpers.py": "ANSWER = \n"},
        "AP504",
        "include/helpers.py",
        1,
        "invalid syntax",
    ),
    Broken(
        "two files with one DAG",
        {"dags/a.py": _dag("orders"), "dags/team/b.py": _dag("orders")},
        "AP505",
        "dags/team/b.py",
        3,
        "'orders' is defined in dags/a.py:3 as well",
    ),
    Broken(
        "a copy of a TaskFlow DAG",
        {"dags/sales_copy.py": DAG},
        "AP505",
        "dags/sales_copy.py",
        4,
        "'sales' is defined in dags/sales.py:4 as well",
    ),
    Broken(
        "one DAG as class and as decorator, named by a constant",
        {
            "dags/a.py": "from airflow import models\n\nNAME = 'sales'\ndag = models.DAG(dag_id=NAME)\n",
        },
        "AP505",
        "dags/sales.py",
        4,
        "'sales' is defined in dags/a.py:4 as well",
    ),
    Broken(
        "one DAG twice in a file",
        {"dags/a.py": _dag("orders") + _dag("orders")},
        "AP506",
        "dags/a.py",
        7,
        "'orders' is defined in line 3 as well",
    ),
    Broken(
        "a DAG that is never called",
        {"dags/late.py": DAG.replace("sales", "late").removesuffix("late()\n")},
        "AP507",
        "dags/late.py",
        5,
        "late() is decorated with @dag and never called",
    ),
    Broken(
        "a dag_id with blanks",
        {"dags/a.py": _dag("daily orders")},
        "AP508",
        "dags/a.py",
        3,
        "refuses the dag_id 'daily orders'",
    ),
    Broken(
        "a dag_id that is too long",
        {"dags/a.py": _dag("o" * 251)},
        "AP508",
        "dags/a.py",
        3,
        "with 251 characters",
    ),
)

FILES: Final = (
    Broken(
        "a link out of the project",
        {"include/shared": Link("../../shared")},
        "AP601",
        "include/shared",
        None,
        "leads out of the project to ../../shared",
    ),
    Broken(
        "an absolute link",
        {"include/shared": Link("/opt/shared")},
        "AP601",
        "include/shared",
        None,
        "leads out of the project to /opt/shared",
    ),
    Broken(
        "a link to nothing",
        {"include/old.py": Link("gone.py")},
        "AP602",
        "include/old.py",
        None,
        "gone.py, which does not exist",
    ),
    Broken(
        "a link to itself",
        {"include/loop": Link("loop")},
        "AP602",
        "include/loop",
        None,
        "loop, which does not exist",
    ),
    Broken(
        "a link to what is ignored",
        {
            "include/seed.csv": Link("../data/seed.csv"),
            "data/seed.csv": "1\n",
            ".dockerignore": "data\n",
        },
        "AP602",
        "include/seed.csv",
        None,
        "is not part of the image",
    ),
    Broken(
        "a name in Latin 1",
        {"include/caf\udce9/menu.csv": "1\n"},
        "AP603",
        "include/caf\\xe9",
        None,
        "not valid UTF-8",
    ),
    Broken(
        "a big file",
        {"include/data.parquet": Sparse(51 * 1024**2)},
        "AP604",
        "include/data.parquet",
        None,
        "it has 51 MB",
    ),
    Broken(
        "a big project",
        {f"include/{n}.parquet": Sparse(49 * 1024**2) for n in range(21)},
        "AP605",
        ".",
        None,
        "the project has 1029 MB in 26 files",
    ),
    Broken("a pipe", {"include/pipe": Fifo()}, "AP606", "include/pipe", None, "is left out"),
    Broken(
        "names that differ by case",
        {"include/Orders.csv": "1\n", "include/orders.csv": "2\n"},
        "AP607",
        "include/orders.csv",
        None,
        "it is the same file as include/Orders.csv",
    ),
    Broken(
        "names that differ by composition",
        {"include/cafe\u0301.csv": "1\n", "include/caf\u00e9.csv": "2\n"},
        "AP607",
        "include/caf\u00e9.csv",
        None,
        "it is the same file as",
    ),
)

BROKEN: Final = (*PROJECT, *DOCKERFILE, *REQUIREMENTS, *SECRET_FILES, *DAGS, *FILES)
