"""The linter returns findings for any content of files, and never fails."""

import random
import time
from pathlib import Path

import pytest

from astro_pulumi.project.lint import lint
from tests.unit.project.projects import HEALTHY, write_project

NAMES = (*HEALTHY, "dags/.airflowignore", "plugins/p.py", ".env.prod", "include/config.yaml")
PIECES = (
    # Dockerfiles
    *(
        b"FROM ",
        b"COPY ",
        b"ENV ",
        b"ENTRYPOINT [",
        b"<<EOF",
        b"ARG A=",
        b"${",
        b"$A",
        b"# escape=`\n",
    ),
    # requirements
    *(b"-r ", b"-e .", b"==", b">=1.*", b"[", b"]", b";", b"@", b"git+https://u:p@h/", b"--hash="),
    # Python
    *(b"@dag", b"def f(", b"airflow", b"DAG('", b"')", b"\t", b"    ", b'"""', b"f'{", b"lambda: "),
    # ignore files, encodings, line ends
    *(
        b"!",
        b"**",
        b"*/",
        b"[^a]",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\0",
        b"\r\n",
        b"\n",
        b"\\\n",
        b"\xe9",
    ),
    # secrets
    *(
        b"password: ",
        b"AKIA",
        b"-----BEGIN PRIVATE KEY-----",
        b"fernet_key=",
        b"postgres://a:b@c/d",
    ),
)


@pytest.mark.parametrize("seed", range(60))
def test_any_content_gives_findings(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)  # noqa: S311
    write_project(tmp_path, {name: content(chance, HEALTHY.get(name, "")) for name in NAMES})
    for finding in lint(tmp_path):
        assert finding.file
        assert str(finding).isprintable() or "\n" not in str(finding)
        assert finding.line is None or finding.line >= 1


def content(chance: random.Random, healthy: str) -> bytes:
    """Healthy content with something put in, something cut out, or something else altogether."""
    data = healthy.encode()
    for _ in range(chance.randint(0, 6)):
        at = chance.randint(0, len(data))
        if chance.random() < 0.3:
            data = data[:at] + data[at + chance.randint(1, 20) :]
        else:
            data = data[:at] + chance.choice(PIECES) + data[at:]
    return data if chance.random() < 0.9 else chance.randbytes(chance.randint(0, 400))


# What makes a careless regular expression take for ever: each of these, and much of it.
REPEATED = (
    b"a",
    b"1.",
    b"==1,",
    b"a-",
    b"[a",
    b"x/",
    b"A=",
    b"a://",
    b"password",
    b"'",
    b'"',
    b"\\",
    b" ",
)


@pytest.mark.parametrize("piece", REPEATED)
@pytest.mark.parametrize(
    "name", ["Dockerfile", "requirements.txt", "packages.txt", "include/a.yaml"]
)
def test_long_lines_take_no_time(name: str, piece: bytes, tmp_path: Path) -> None:
    before = b"FROM a\nENV " if name == "Dockerfile" else b"password=="
    write_project(tmp_path, {name: before + piece * (20_000 // len(piece)) + b"!\n"})
    began = time.process_time()
    lint(tmp_path)
    assert time.process_time() - began < 1
