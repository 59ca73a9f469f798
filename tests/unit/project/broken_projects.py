"""Broken projects: the changes to a healthy one, and the finding that they must give.

Secrets are concatenated, so that scanners do not report this file.
"""

from dataclasses import dataclass
from typing import Final

from tests.unit.project.projects import DAG, Changes, Fifo, Link

RUNTIME: Final = "FROM astrocrpublic.azurecr.io/runtime:3.1-5\n"
PLAIN_RUNTIME: Final = "FROM astrocrpublic.azurecr.io/runtime:3.1-5-base\n"

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
    """One broken project: `projects.HEALTHY` with changes."""

    name: str
    changes: Changes
    code: str
    place: str  # as it is shown: a file, and a line if there is one
    says: str  # part of the message
    others: frozenset[str] = frozenset()  # other codes that are found too


PROJECT: Final = (
    Broken(
        "no Dockerfile and no dags",
        dict.fromkeys(("Dockerfile", "dags/sales.py")),
        "AP102",
        ".",
        "this is not an Astro project",
    ),
    Broken("no Dockerfile", {"Dockerfile": None}, "AP103", ".", "there is no Dockerfile"),
    Broken(
        "Dockerfile in lower case",
        {"Dockerfile": None, "dockerfile": RUNTIME},
        "AP103",
        ".",
        "there is no Dockerfile",
    ),
    Broken(
        "no requirements.txt",
        {"requirements.txt": None},
        "AP104",
        "requirements.txt",
        "requirements.txt is missing",
    ),
    Broken(
        "no packages.txt",
        {"packages.txt": None},
        "AP105",
        "packages.txt",
        "packages.txt is missing",
    ),
    Broken(
        "requirements.txt is ignored",
        {".dockerignore": ".git\n*.txt\n!packages.txt\n"},
        "AP106",
        ".dockerignore:2",
        "excludes requirements.txt",
    ),
    Broken(
        "everything is ignored, and packages.txt is forgotten",
        {".dockerignore": "*\n!dags\n!requirements.txt\n"},
        "AP106",
        ".dockerignore:1",
        "excludes packages.txt",
    ),
    Broken(
        "packages.txt is missing, and would be ignored",
        {".dockerignore": "*.txt\n!requirements.txt\n", "packages.txt": None},
        "AP106",
        ".dockerignore:1",
        "excludes packages.txt",
    ),
    Broken(
        "an ignore pattern without its bracket",
        {".dockerignore": ".git\ndata/[0-9\n"},
        "AP107",
        ".dockerignore:2",
        "'data/[0-9'",
    ),
    Broken("a lone exclamation mark", {".dockerignore": "!\n"}, "AP107", ".dockerignore:1", "'!'"),
)

DOCKERFILE: Final = (
    Broken("empty Dockerfile", {"Dockerfile": ""}, "AP202", "Dockerfile:1", "is empty"),
    Broken("only comments", {"Dockerfile": "# to do\n\n"}, "AP202", "Dockerfile:1", "is empty"),
    Broken("only ARG", {"Dockerfile": "ARG A=1\n"}, "AP202", "Dockerfile:1", "there is no FROM"),
    Broken("no FROM", {"Dockerfile": "RUN echo\n"}, "AP202", "Dockerfile:1", "must be FROM"),
    Broken(
        "FROM comes too late",
        {"Dockerfile": f"ENV A=1\n{RUNTIME}"},
        "AP202",
        "Dockerfile:1",
        "must be FROM",
    ),
    Broken(
        "FROM is misspelt",
        {"Dockerfile": "FORM astrocrpublic.azurecr.io/runtime:3.1-5\n"},
        "AP202",
        "Dockerfile:1",
        "FORM is not a Dockerfile instruction",
    ),
    Broken("FROM without an image", {"Dockerfile": "FROM\n"}, "AP203", "Dockerfile:1", "one image"),
    Broken(
        "FROM with a comment behind it",
        {"Dockerfile": "FROM astrocrpublic.azurecr.io/runtime:3.1-5 # ours\n"},
        "AP203",
        "Dockerfile:1",
        "one image",
    ),
    Broken(
        "FROM in capitals",
        {"Dockerfile": "FROM quay.io/Astronomer/Astro-Runtime:3.1-5\n"},
        "AP203",
        "Dockerfile:1",
        "is not the name of an image",
    ),
    Broken(
        "FROM with an ARG without value",
        {"Dockerfile": "ARG TAG\nFROM astrocrpublic.azurecr.io/runtime:${TAG}\n"},
        "AP203",
        "Dockerfile:2",
        "$TAG, which has no value",
    ),
    Broken(
        "Airflow 1",
        {"Dockerfile": "FROM apache/airflow:1.10.15\n"},
        "AP206",
        "Dockerfile:1",
        "carries Airflow 1.10.15",
    ),
    Broken(
        "Airflow 2 of old",
        {"Dockerfile": "FROM quay.io/astronomer/astro-runtime:8.8.0\n"},
        "AP206",
        "Dockerfile:1",
        "carries Airflow 2.6",
    ),
    Broken(
        "Astronomer Certified",
        {"Dockerfile": "FROM quay.io/astronomer/ap-airflow:2.2.4-2-onbuild\n"},
        "AP206",
        "Dockerfile:1",
        "Astronomer Certified",
    ),
    Broken(
        "FROM without a tag",
        {"Dockerfile": "FROM quay.io/astronomer/astro-runtime\n"},
        "AP207",
        "Dockerfile:1",
        "does not tell its Airflow version",
    ),
    Broken(
        "a tag that moves",
        {"Dockerfile": "# ours\nFROM astrocrpublic.azurecr.io/runtime:3.1\n"},
        "AP207",
        "Dockerfile:2",
        "does not tell its Airflow version",
    ),
    Broken(
        "an image of one's own",
        {"Dockerfile": "FROM ghcr.io/acme/airflow-base:7\n"},
        "AP207",
        "Dockerfile:1",
        "does not tell its Airflow version",
    ),
    Broken(
        "a continued line without its backslash",
        {"Dockerfile": f"{RUNTIME}RUN apt-get update &&\n    apt-get install -y jq\n"},
        "AP208",
        "Dockerfile:3",
        "APT-GET is not a Dockerfile instruction",
    ),
    Broken(
        "COPY of a file that is not there",
        {"Dockerfile": f"{RUNTIME}COPY dbt-requirements.txt \\\n     scripts/setup.sh ./\n"},
        "AP209",
        "Dockerfile:3",
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
        "Dockerfile:2",
        "COPY of data/seed.csv: .dockerignore excludes it",
    ),
    Broken(
        "COPY of a file that is missing and ignored",
        {"Dockerfile": f"{RUNTIME}COPY data/seed.csv /tmp/\n", ".dockerignore": "data\n"},
        "AP209",
        "Dockerfile:2",
        "COPY of data/seed.csv: .dockerignore excludes it, and there is no such file",
    ),
    Broken(
        "COPY of an empty directory",
        {"Dockerfile": f"{RUNTIME}COPY data/ /tmp/\n", "data/logs": Fifo()},
        "AP209",
        "Dockerfile:2",
        "COPY of data/: the directory is empty",
    ),
    Broken(
        "COPY of .env, which is missing",
        {"Dockerfile": f"{RUNTIME}COPY .env .env\n"},
        "AP209",
        "Dockerfile:2",
        "COPY of .env: it belongs to the local Airflow",
    ),
    Broken(
        "COPY of a local file",
        {"Dockerfile": f"{RUNTIME}COPY airflow.cfg .\n", "airflow.cfg": "[core]\n"},
        "AP209",
        "Dockerfile:2",
        "it belongs to the local Airflow",
    ),
)

REQUIREMENTS: Final = (
    Broken(
        "another Airflow",
        {"requirements.txt": "pandas\napache-airflow==3.0.6\n"},
        "AP301",
        "requirements.txt:2",
        "contradicts the base image, which has Airflow 3.1",
    ),
    Broken(
        "another Airflow, with extras",
        {"requirements.txt": "Apache_Airflow[amazon, google] < 3.0 # ours\n"},
        "AP301",
        "requirements.txt:1",
        "contradicts the base image, which has Airflow 3.1",
    ),
    Broken(
        "another Airflow, for build steps that are added",
        {
            "Dockerfile": "FROM apache/airflow:3.1.0\n",
            "requirements.txt": "apache-airflow==3.1.1\n",
        },
        "AP301",
        "requirements.txt:1",
        "contradicts the base image, which has Airflow 3.1.0",
    ),
    Broken(
        "a package of one's own, which the base image does not copy",
        {"requirements.txt": "-e ./packages/acme\n", "packages/acme/setup.py": "\n"},
        "AP305",
        "requirements.txt:1",
        "./packages/acme is not in the image yet",
    ),
    Broken(
        "a wheel, which the base image does not copy",
        {"requirements.txt": "include/acme-1.0-py3-none-any.whl\n"},
        "AP305",
        "requirements.txt:1",
        "is not in the image yet",
    ),
    Broken(
        "a requirement that the Dockerfile installs",
        {
            "Dockerfile": f"{PLAIN_RUNTIME}COPY . .\nRUN pip install -r requirements.txt\n",
            "requirements.txt": "pandas=2.2.3\n",
        },
        "AP303",
        "requirements.txt:1",
        "'pandas=2.2.3' is not a requirement",
    ),
    Broken(
        "an included file, which the added build steps do not copy",
        {
            "Dockerfile": "FROM apache/airflow:3.1.0\n",
            "requirements.txt": "-r more.txt\n",
            "more.txt": "pandas\n",
        },
        "AP305",
        "requirements.txt:1",
        "is not in the image yet",
    ),
    Broken(
        "one equals sign",
        {"requirements.txt": "pandas=2.2.3\n"},
        "AP303",
        "requirements.txt:1",
        "'pandas=2.2.3' is not a requirement",
    ),
    Broken(
        "a version without a sign",
        {"requirements.txt": "# data\n\npandas 2.2.3\n"},
        "AP303",
        "requirements.txt:3",
        "is not a requirement",
    ),
    Broken(
        "pip install",
        {"requirements.txt": "pip install pandas\n"},
        "AP303",
        "requirements.txt:1",
        "is not a requirement",
    ),
    Broken(
        "a marker that is none",
        {"requirements.txt": "pandas==2.2.3; python > 3.8\n"},
        "AP303",
        "requirements.txt:1",
        "is not a requirement",
    ),
    Broken(
        "an included file, which the base image does not copy",
        {"requirements.txt": "-r include/more.txt\n", "include/more.txt": "pandas\n"},
        "AP305",
        "requirements.txt:1",
        "is not in the image yet",
    ),
    Broken(
        "a Python package among Debian's",
        {"packages.txt": "jq\n  libpq-dev pandas==2.2.3\n"},
        "AP308",
        "packages.txt:2",
        "'pandas==2.2.3' is not the name of a Debian package",
    ),
    Broken(
        "a Debian package in capitals",
        {"packages.txt": "# for images\nImageMagick\n"},
        "AP308",
        "packages.txt:2",
        "'ImageMagick' is not the name",
    ),
)

SECRET_FILES: Final = (
    Broken(
        "a private key",
        {"include/keys/rsa_key.p8": PRIVATE_KEY},
        "AP401",
        "include/keys/rsa_key.p8:1",
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
        "include/gcp.json:2",
        "a private key",
    ),
    Broken(
        "an AWS key in a DAG",
        {"dags/sales.py": f'{DAG}KEY = "{AWS_KEY}"\n'},
        "AP402",
        "dags/sales.py:14",
        "an AWS access key",
    ),
    Broken(
        "an AWS secret in a configuration file",
        {"include/aws.ini": f"[default]\naws_secret_access_key = {AWS_SECRET}\n"},
        "AP408",
        "include/aws.ini:2",
        "the value of aws_secret_access_key looks like",
    ),
    Broken(
        "a GitHub token in the Dockerfile",
        {
            "Dockerfile": f"{RUNTIME}RUN pip install git+https://{GITHUB_TOKEN}@github.com/acme/lib\n"
        },
        "AP402",
        "Dockerfile:2",
        "a GitHub token",
    ),
    Broken(
        "a Slack token",
        {"include/slack.yaml": f"token: {SLACK_TOKEN}\n"},
        "AP402",
        "include/slack.yaml:1",
        "a Slack token",
    ),
    Broken(
        "a Databricks token in a notebook",
        {"include/notebook.ipynb": f'{{"source": ["token = {DATABRICKS_TOKEN}"]}}\n'},
        "AP402",
        "include/notebook.ipynb:1",
        "a Databricks token",
    ),
    Broken(
        "a password in ENV",
        {"Dockerfile": f"{RUNTIME}ENV A=1 \\\n    SNOWFLAKE_PASSWORD={HUMAN}\n"},
        "AP403",
        "Dockerfile:3",
        "ENV SNOWFLAKE_PASSWORD",
    ),
    Broken(
        "a Connection in ENV",
        {
            "Dockerfile": f"{RUNTIME}ENV AIRFLOW_CONN_DB='postgres://etl:{HUMAN}@db.acme.com:5432/x'\n"
        },
        "AP403",
        "Dockerfile:2",
        "the address of db.acme.com has a password",
    ),
    Broken(
        "a token as default of ARG",
        {"Dockerfile": f"ARG INDEX_TOKEN={GENERATED}\n{RUNTIME}"},
        "AP403",
        "Dockerfile:1",
        "ARG INDEX_TOKEN",
    ),
    Broken(
        "a password in an address that RUN uses",
        {
            "Dockerfile": f"{RUNTIME}RUN pip install --index-url \\\n"
            f"    https://ci:{GENERATED}@pypi.acme.com/simple lib\n"
        },
        "AP403",
        "Dockerfile:3",
        "the address of pypi.acme.com",
    ),
    Broken(
        "a Fernet key in ENV",
        {"Dockerfile": f"{RUNTIME}ENV AIRFLOW__CORE__FERNET_KEY={FERNET_KEY}\n"},
        "AP403",
        "Dockerfile:2",
        "ENV AIRFLOW__CORE__FERNET_KEY",
    ),
    Broken(
        "a Fernet key for Compose",
        {"compose.yaml": f"environment:\n  AIRFLOW__CORE__FERNET_KEY: {FERNET_KEY}\n"},
        "AP408",
        "compose.yaml:2",
        "the value of AIRFLOW__CORE__FERNET_KEY looks like",
    ),
    Broken(
        "a Fernet key in airflow.cfg",
        {"config/airflow.cfg": f"[core]\nfernet_key = {FERNET_KEY}\n"},
        "AP408",
        "config/airflow.cfg:2",
        "the value of fernet_key looks like",
    ),
    Broken(
        "a secret among environment variables",
        {
            "include/prod.env": f'LEVEL=info\nexport API_TOKEN="{GENERATED}"\nCOPY_TOKEN={GENERATED}\n'
        },
        "AP408",
        "include/prod.env:2",
        "the value of API_TOKEN looks like",
    ),
    Broken(
        "a password among spare local settings",
        {"airflow_settings_bkp.yaml": f"airflow:\n  connections:\n    - conn_password: {HUMAN}\n"},
        "AP408",
        "airflow_settings_bkp.yaml:3",
        "the value of conn_password looks like",
    ),
    Broken(
        "credentials of AWS",
        {".aws/credentials": f"[default]\naws_secret_access_key={AWS_SECRET}\n"},
        "AP408",
        ".aws/credentials:2",
        "the value of aws_secret_access_key looks like",
    ),
    Broken(
        "a password in an address",
        {"include/db.py": f'URL = "postgresql://etl:{HUMAN}@db.acme.com/x"\n'},
        "AP408",
        "include/db.py:1",
        "the address of db.acme.com seems to have a password",
    ),
    Broken(
        "a password in a DAG",
        {
            "dags/sales.py": DAG.replace(
                "schedule=None", f'schedule=None, params=dict(password="{HUMAN}")'
            )
        },
        "AP408",
        "dags/sales.py:4",
        "the value of password looks like",
    ),
    Broken(
        "a password in a profile of dbt",
        {"include/dbt/profiles.yml": f"acme:\n  target: dev\n  password: {HUMAN}\n"},
        "AP408",
        "include/dbt/profiles.yml:3",
        "the value of password looks like",
    ),
    Broken(
        "a password for a package index",
        {
            "requirements.txt": f"--extra-index-url https://ci:{HUMAN}@pypi.acme.com/simple\nlib==1.0\n"
        },
        "AP409",
        "requirements.txt:1",
        "the address of pypi.acme.com has a password",
    ),
)

DAGS: Final = (
    Broken("no dags/", {"dags/sales.py": None}, "AP501", "dags", "there is no directory dags/"),
    Broken(
        "dags/ is empty",
        {"dags/sales.py": None, "dags/.gitkeep": ""},
        "AP501",
        "dags",
        "there is no Python file in dags/",
    ),
    Broken(
        "dags/ is ignored", {".dockerignore": "dags\n"}, "AP501", "dags", "excludes all of dags/"
    ),
    Broken(
        "dags is a link out of the project",
        {"dags/sales.py": None, "dags": Link("../shared")},
        "AP501",
        "dags",
        "a link out of the project",
    ),
    Broken(
        "a Dockerfile that copies dags/, which is empty",
        {"dags/sales.py": None, "Dockerfile": "FROM apache/airflow:3.1.0\nCOPY . .\n"},
        "AP501",
        "dags",
        "there is no directory dags/",
    ),
    Broken(
        "a syntax error",
        {"dags/sales.py": DAG.replace("schedule=None)", "schedule=None")},
        "AP502",
        "dags/sales.py:4",
        "'(' was never closed",
    ),
    Broken(
        "return outside of a function",
        {"dags/sales.py": f"{DAG}return 1\n"},
        "AP502",
        "dags/sales.py:14",
        "'return' outside function",
    ),
    Broken(
        "a merge conflict",
        {"dags/sales.py": f"{DAG}<<<<<<< HEAD\nA = 1\n=======\nA = 2\n>>>>>>> feature\n"},
        "AP502",
        "dags/sales.py:14",
        "unresolved merge conflict",
    ),
    Broken(
        "bytes that are no text",
        {"dags/sales.py": DAG.encode() + b"A = 'caf\xe9'\n"},
        "AP502",
        "dags/sales.py:14",
        "utf-8",
    ),
    Broken(
        "null bytes",
        {"dags/sales.py": DAG.encode() + b"A = '\0'\n"},
        "AP502",
        "dags/sales.py:1",
        "null bytes",
    ),
    Broken(
        "a missing colon below an f-string",
        {"dags/a.py": 'from airflow import DAG\nname = f"{1}"\n\nwith DAG("b")\n    pass\n'},
        "AP502",
        "dags/a.py:4",
        "expected ':'",
    ),
    Broken(
        "a missing colon below brackets",
        {
            "dags/a.py": "# airflow DAG\nclass A: pass\nitems = list[int]\ndef first(items)\n    pass\n"
        },
        "AP502",
        "dags/a.py:4",
        "expected ':'",
    ),
    Broken(
        "a plugin with a syntax error",
        {"plugins/macros.py": "def now(:\n    pass\n"},
        "AP502",
        "plugins/macros.py:1",
        "invalid syntax",
    ),
    Broken(
        "a syntax error in dags/, though the DAGs are elsewhere",
        {
            "Dockerfile": f"{RUNTIME}ENV AIRFLOW__CORE__DAGS_FOLDER=/opt/dags\n",
            "dags/sales.py": f"{DAG}print 'done'\n",
        },
        "AP504",
        "dags/sales.py:14",
        "Missing parentheses",
    ),
    Broken(
        "a syntax error in a file that Airflow ignores",
        {
            "dags/.airflowignore": "tmp/**/gen*.py # made\n",
            "dags/tmp/a/generated.py": "airflow dag\n",
        },
        "AP504",
        "dags/tmp/a/generated.py:1",
        "invalid syntax",
    ),
    Broken(
        "a syntax error in include/",
        {"include/helpers.py": "ANSWER = \n"},
        "AP504",
        "include/helpers.py:1",
        "invalid syntax",
    ),
)

FILES: Final = (
    Broken(
        "a link out of the project",
        {"include/shared": Link("../../shared")},
        "AP601",
        "include/shared",
        "leads to ../../shared, which is not in the image",
    ),
    Broken(
        "an absolute link",
        {"include/shared": Link("/opt/shared")},
        "AP601",
        "include/shared",
        "leads to /opt/shared, which is not in the image",
    ),
    Broken(
        "a link to nothing",
        {"include/old.py": Link("gone.py")},
        "AP601",
        "include/old.py",
        "leads to gone.py, which is not in the image",
    ),
    Broken(
        "a link to itself",
        {"include/loop": Link("loop")},
        "AP601",
        "include/loop",
        "leads to loop, which is not in the image",
    ),
    Broken(
        "a link to an ignored file",
        {
            "include/seed.csv": Link("../data/seed.csv"),
            "data/seed.csv": "1\n",
            ".dockerignore": "data\n",
        },
        "AP601",
        "include/seed.csv",
        "which is not in the image; it is left out",
    ),
    Broken(
        "the links of a virtual environment",
        {
            "env/bin/python": Link("/usr/bin/python3"),
            "env/bin/python3": Link("python"),
            "env/bin/python3.12": Link("python"),
        },
        "AP601",
        "env/bin/python",
        "it is left out, like 2 more in this directory",
    ),
)

BROKEN: Final = (*PROJECT, *DOCKERFILE, *REQUIREMENTS, *SECRET_FILES, *DAGS, *FILES)
