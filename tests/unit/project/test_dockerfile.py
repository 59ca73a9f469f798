"""Dockerfiles are read as BuildKit reads them."""

import pytest

from astro_pulumi.project.base_image_tag import airflow_version, installs_project, python_version
from astro_pulumi.project.dockerfile import BaseImage, FromError, base_image, parse_dockerfile


def instructions(text: str) -> list[tuple[int, str, str]]:
    return [(each.line, each.keyword, each.value) for each in parse_dockerfile(text).instructions]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a\nRUN b\n", [(1, "FROM", "a"), (2, "RUN", "b")]),
        ("\n  from a  \n", [(2, "FROM", "a")]),
        ("FROM\ta\n", [(1, "FROM", "a")]),
        ("# FROM z\nFROM a", [(2, "FROM", "a")]),
        ("FROM a\r\nRUN b \\\r\n c\r\n", [(1, "FROM", "a"), (2, "RUN", "b  c")]),
        ("RUN a \\\n# comment\n\n  b\nRUN c", [(1, "RUN", "a   b"), (5, "RUN", "c")]),
        ("RUN a \\  \n b", [(1, "RUN", "a  b")]),
        ("RUN echo \\\\\nRUN b", [(1, "RUN", "echo \\\\"), (2, "RUN", "b")]),
        ("RUN a \\", [(1, "RUN", "a")]),
        ("# escape=`\nRUN a `\n b\nRUN c\\", [(2, "RUN", "a  b"), (4, "RUN", "c\\")]),
        ("# no directive\n# escape=`\nRUN a `\nRUN b", [(3, "RUN", "a `"), (4, "RUN", "b")]),
        ("RUN <<EOF\nFROM x\nEOF\nRUN b", [(1, "RUN", "<<EOF"), (4, "RUN", "b")]),
        ("RUN <<-'E' cat\n\tx\n\tE\nRUN b", [(1, "RUN", "<<-'E' cat"), (4, "RUN", "b")]),
        ("COPY <<A <<B /d/\n1\nA\n2\nB\nRUN b", [(1, "COPY", "<<A <<B /d/"), (6, "RUN", "b")]),
        ("RUN echo $((1<<X))\nRUN b", [(1, "RUN", "echo $((1<<X))"), (2, "RUN", "b")]),
        ("RUN cat <<< EOF\nRUN b", [(1, "RUN", "cat <<< EOF"), (2, "RUN", "b")]),
        ("COPY --chown=a:b --from=c d e", [(1, "COPY", "d e")]),
    ],
)
def test_instructions(text: str, expected: list[tuple[int, str, str]]) -> None:
    assert instructions(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a:1", "a:1"),
        ("FROM --platform=linux/amd64 a:1 AS final", "a:1"),
        ("FROM a:1 AS build\nFROM b:2", "b:2"),
        ("FROM a:1 AS base\nFROM Base as next\nFROM next", "a:1"),
        ("ARG TAG=1\nFROM a:$TAG", "a:1"),
        ("ARG TAG='1'\nFROM a:${TAG}", "a:1"),
        ("ARG R=r.io\nARG I=${R}/a\nFROM ${I}:1", "r.io/a:1"),
        ("ARG A=1 B=2\nFROM a:${B}", "a:2"),
        ("FROM a:${TAG:-3}", "a:3"),
        ("ARG TAG=\nFROM a:${TAG:-3}", "a:3"),
        ("ARG TAG=4\nFROM a:${TAG:+5}", "a:5"),
        ("FROM b\nARG TAG=1\nFROM a:${TAG:-2}", "a:2"),
        ("FROM --platform=$BUILDPLATFORM a-$TARGETARCH:1", "a-linux:1"),
    ],
)
def test_the_base_image(text: str, expected: str) -> None:
    base = base_image(parse_dockerfile(text))
    assert base is not None
    assert base.reference == expected


def test_the_line_of_the_base_image_is_where_it_is_named() -> None:
    base = base_image(parse_dockerfile("ARG T=1\nFROM a:$T AS one\nFROM one\n"))
    assert base == BaseImage("a:1", 2)


@pytest.mark.parametrize(
    ("text", "line", "variable"),
    [
        ("FROM", 1, None),
        ("FROM a b", 1, None),
        ("FROM a OF b", 1, None),
        ("ARG T\nFROM a:$T", 2, "T"),
        ("FROM a:1\nFROM b:${MISSING}", 2, "MISSING"),
    ],
)
def test_a_from_that_says_nothing(text: str, line: int, variable: str | None) -> None:
    with pytest.raises(FromError) as caught:
        base_image(parse_dockerfile(text))
    assert (caught.value.line, caught.value.variable) == (line, variable)


def test_no_from() -> None:
    assert base_image(parse_dockerfile("ARG A=1\n")) is None


@pytest.mark.parametrize(
    ("reference", "name", "tag"),
    [
        ("a", "a", None),
        ("a:1", "a", "1"),
        ("localhost:5000/a", "localhost:5000/a", None),
        ("localhost:5000/a/b:1.2", "localhost:5000/a/b", "1.2"),
        (f"r.io/a@sha256:{'0' * 64}", "r.io/a", None),
        (f"r.io/a:1@sha256:{'0' * 64}", "r.io/a", "1"),
    ],
)
def test_the_parts_of_a_reference(reference: str, name: str, tag: str | None) -> None:
    base = BaseImage(reference, 1)
    assert base.is_valid
    assert (base.name, base.tag) == (name, tag)


@pytest.mark.parametrize(
    "reference", ["A:1", "a/B", "a:", "a:-1", "a b", "http://a/b:1", "a@sha256:1"]
)
def test_what_is_no_reference(reference: str) -> None:
    assert not BaseImage(reference, 1).is_valid


@pytest.mark.parametrize(
    ("reference", "version", "installs", "python"),
    [
        ("astrocrpublic.azurecr.io/runtime:3.1-5", "3.1", True, None),
        ("astrocrpublic.azurecr.io/runtime:3.1-5-base", "3.1", False, None),
        ("astrocrpublic.azurecr.io/runtime:3.2-4-python-3.12-base", "3.2", False, (3, 12)),
        ("quay.io/astronomer/astro-runtime:9.1.0-python-3.10", "2.7", True, (3, 10)),
        ("quay.io/astronomer/astro-runtime:13.6.0-python-3.12-slim", "2.11", True, (3, 12)),
        ("localhost:5000/runtime:3.3-1", "3.3", True, None),
        ("apache/airflow:3.1.0-python3.12", "3.1.0", False, (3, 12)),
        ("apache/airflow:slim-3.1.0", "3.1.0", False, None),
        ("quay.io/astronomer/ap-airflow:2.2.4-2-onbuild", None, True, None),
        ("quay.io/astronomer/ap-airflow:2.2.4-2", None, False, None),
        ("ghcr.io/acme/base:7", None, None, None),
    ],
)
def test_what_an_image_says_of_itself(
    reference: str, version: str | None, installs: bool | None, python: tuple[int, int] | None
) -> None:
    base = BaseImage(reference, 1)
    found = airflow_version(base)
    assert (found and str(found)) == version
    assert installs_project(base) is installs
    assert python_version(base) == python


def test_the_environment_of_the_final_stage() -> None:
    dockerfile = parse_dockerfile(
        "FROM a AS base\nENV A=1 B='two words'\nFROM z AS other\nENV C=3\nFROM base\nENV D four five\n"
    )
    assert dockerfile.environment == {"A": "1", "B": "two words", "D": "four five"}


@pytest.mark.parametrize(
    ("text", "built"),
    [
        ("FROM a\nRUN 1", "1"),
        ("FROM a AS one\nRUN 1\nFROM b\nRUN 2", "2"),
        ("FROM a AS one\nRUN 1\nFROM one\nRUN 2", "1 2"),
        ("FROM a AS one\nRUN 1\nFROM b\nCOPY --from=One x y\nRUN 2", "1 2"),
        ("FROM a\nRUN 1\nFROM b\nCOPY --from=0 x y\nRUN 2", "1 2"),
        ("FROM a AS one\nRUN 1\nFROM b\nRUN --mount=type=bind,from=one,target=/x 2", "1 2"),
        ("FROM a AS 1st\nRUN 1\nFROM 1st AS 2nd\nRUN 2\nFROM b\nRUN 3\nFROM 2nd\nRUN 4", "1 2 4"),
    ],
)
def test_stages_that_the_last_one_does_not_use_are_not_built(text: str, built: str) -> None:
    instructions = parse_dockerfile(text).built
    assert " ".join(each.value for each in instructions if each.keyword == "RUN") == built


def test_the_lines_of_a_long_instruction() -> None:
    (instruction,) = parse_dockerfile("ENV A=1 \\\n    # b\n    B=2 \\\n    C=3\n").instructions
    assert [instruction.line_with(text) for text in ("A=", "B=", "C=", "D=")] == [1, 3, 4, 1]


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("FROM a", False),
        ("# syntax=docker/dockerfile:1\nFROM a", False),
        ("# syntax = docker.io/docker/dockerfile:1.7-labs\nFROM a", False),
        ("# syntax=quay.io/astronomer/airflow-extensions:v1\nFROM a", True),
    ],
)
def test_a_frontend_of_ones_own(text: str, own: bool) -> None:
    assert parse_dockerfile(text).has_own_frontend is own


@pytest.mark.parametrize(
    ("text", "installs"),
    [
        ("# syntax=quay.io/astronomer/airflow-extensions:v1\nFROM a", True),
        ("# ours\n# syntax=quay.io/astronomer/airflow-extensions:v1\nFROM a", False),
        ("# syntax=docker/dockerfile:1\nFROM a", False),
        ("# syntax=ghcr.io/acme/frontend:1\nFROM a", False),
    ],
)
def test_a_frontend_that_installs_the_project(text: str, installs: bool) -> None:
    assert parse_dockerfile(text).frontend_installs_project is installs
