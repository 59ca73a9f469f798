"""Rules on DAG files, plugins and other Python code: what can be seen without running it.

Code is compiled by the Python that runs the linter, which is seldom the image's. So only that is an
error which no version of Python takes; the release Job parses every DAG in the image itself.
"""

import ast
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Final

from astro_pulumi.project import runtime
from astro_pulumi.project.files import ProjectFile, content_of, decode
from astro_pulumi.project.findings import Finding, printable
from astro_pulumi.project.lint import airflowignore, rules
from astro_pulumi.project.lint.dag_module import DagModule, DefinedDag
from astro_pulumi.project.lint.subject import Subject

_DAGS: Final = "dags/"
_PLUGINS: Final = "plugins/"
_CODE: Final = (_DAGS, _PLUGINS, "include/")
# Where Airflow is told to look for DAGs elsewhere, the project's own dags/ may be empty.
_ELSEWHERE: Final = ("AIRFLOW__CORE__DAGS_FOLDER", "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST")
_UNSAFE: Final = (
    "AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE",
    "AIRFLOW__CORE__MIGHT_CONTAIN_DAG_CALLABLE",
)
_TEMPLATE = re.compile(rb"\{\{.*\}\}|\{%.*%\}")  # code that is made of it is Python, not this
_MERGE_MARKER = re.compile(r"^(?:<{7}|={7}|>{7})(?: |$)", re.MULTILINE)
# What Python learned after 3.11, the oldest that this runs on: type parameters and aliases (3.12),
# quotes and backslashes inside of f-strings (3.12), template strings and bare `except a, b` (3.14).
_NEWER_SYNTAX = re.compile(
    r"^\s*type\s+\w+\s*(?:\[|=)|\b(?:def|class)\s+\w+\s*\[|\b[rR]?[fFtT][rR]?[\"']"
    r"|^\s*except\s+[^(:]+,"
)


def check_dags(subject: Subject) -> Iterator[Finding]:
    """All rules on Python code."""
    ignored = _airflow_ignore(subject)
    defined: list[DefinedDag] = []
    is_anything = False
    for file in subject.listing.files:
        path = file.path
        is_dag_file = path.startswith(_DAGS) and not ignored.ignores(path.removeprefix(_DAGS))
        if is_dag_file and path.endswith(".zip"):
            is_anything = True
        if not path.endswith(".py") or not path.startswith(_CODE):
            continue
        try:
            content = content_of(file)
        except OSError:
            continue
        if file.is_link:
            continue  # what it leads to is in the project as well, or is a finding
        is_dag_file = is_dag_file and _might_hold_dag(content, subject)
        is_anything = is_anything or is_dag_file
        yield from _check_code(subject, file, content, is_dag_file, defined)
    yield from _duplicates(defined)
    if not is_anything:
        yield from _no_dags(subject, ignored)


def _airflow_ignore(subject: Subject) -> airflowignore.AirflowIgnore:
    version = runtime.airflow_version(subject.base) if subject.base else None
    setting = subject.dockerfile.environment.get("AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX")
    files = [
        (file.path.removeprefix(_DAGS).rpartition("/")[0], decode(content_of(file)))
        for file in subject.listing.files
        if file.path.startswith(_DAGS) and file.path.endswith(f"/{airflowignore.NAME}")
    ]
    return airflowignore.AirflowIgnore(files, airflowignore.syntaxes(version, setting))


def _might_hold_dag(content: bytes, subject: Subject) -> bool:
    """Airflow's own heuristics (`might_contain_dag`): it does not even import other files."""
    if any(name in subject.dockerfile.environment for name in _UNSAFE):
        return True
    lower = content.lower()
    return b"dag" in lower and b"airflow" in lower


def _check_code(
    subject: Subject,
    file: ProjectFile,
    content: bytes,
    is_dag_file: bool,
    defined: list[DefinedDag],
) -> Iterator[Finding]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the code is told off for is not ours to say
        try:
            tree = ast.parse(content, file.path)
            compile(tree, file.path, "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            if is_dag_file or not _TEMPLATE.search(content):
                yield _syntax_error(subject, file.path, content, error, is_dag_file)
            return
    if is_dag_file:
        module = DagModule(file.path, tree)
        yield from module.findings()
        defined.extend(module.defined)


def _syntax_error(
    subject: Subject, path: str, content: bytes, error: Exception, is_dag_file: bool
) -> Finding:
    text = decode(content)
    if marker := _MERGE_MARKER.search(text):
        line, column = text.count("\n", 0, marker.start()) + 1, 1
        problem = f"a merge conflict is left in it: {marker[0].strip()}"
    elif b"\0" in content:
        line, column = content.count(b"\n", 0, content.index(b"\0")) + 1, 1
        problem = "there are null bytes in it"
    elif isinstance(error, SyntaxError):
        line, column = error.lineno or 1, max(error.offset or 1, 1)
        problem = f"{_kind(error)}: {error.msg}"
    else:
        line, column = 1, 1
        problem = f"Python cannot compile it: {type(error).__name__}"
    if not marker and _may_be_newer(subject, text, line):
        return rules.MAYBE_NEWER_SYNTAX.broken_by(
            path,
            f"Python {sys.version_info.major}.{sys.version_info.minor} cannot read it ({problem}), a "
            "newer one may",
            "If the image's Python is newer, all is well: the release Job parses every DAG with it.",
            line,
            column,
        )
    if is_dag_file or path.startswith(_PLUGINS):
        what = "a plugin" if path.startswith(_PLUGINS) else "a DAG file"
        return rules.SYNTAX_ERROR.broken_by(
            path,
            problem,
            f"Correct it: Airflow cannot import {what} with a syntax error.",
            line,
            column,
        )
    return rules.SYNTAX_ERROR_ELSEWHERE.broken_by(
        path,
        problem,
        "Correct it, or name it in .dockerignore: every DAG that imports it fails.",
        line,
        column,
    )


def _kind(error: SyntaxError) -> str:
    names = {"IndentationError": "wrong indentation", "TabError": "tabs and spaces are mixed"}
    return names.get(type(error).__name__, "syntax error")


def _may_be_newer(subject: Subject, text: str, line: int) -> bool:
    python = subject.base and runtime.python_version(subject.base)
    if python and python <= sys.version_info[:2]:
        return False
    # In a string over several lines Python may name a later line than the one that it does not like.
    around = text.splitlines()[max(line - 3, 0) : line]
    return any(_NEWER_SYNTAX.search(each) for each in around)


def _duplicates(defined: list[DefinedDag]) -> Iterator[Finding]:
    first: dict[str, DefinedDag] = {}
    for dag in defined:
        other = first.setdefault(dag.dag_id, dag)
        if other is dag:
            continue
        if other.file == dag.file:
            yield rules.DAG_ID_TWICE_IN_FILE.broken_by(
                dag.file,
                f"the DAG {dag.dag_id!r} is defined in line {other.line} as well: Airflow sees one "
                "of them",
                "Give one of them another dag_id.",
                dag.line,
                dag.column,
            )
        else:
            yield rules.DUPLICATE_DAG_ID.broken_by(
                dag.file,
                f"the DAG {dag.dag_id!r} is defined in {printable(other.file)}:{other.line} as well",
                "Give one of them another dag_id, or remove the file that is not needed.",
                dag.line,
                dag.column,
            )


def _no_dags(subject: Subject, ignored: airflowignore.AirflowIgnore) -> Iterator[Finding]:
    environment = subject.dockerfile.environment
    copies = any(
        each.keyword in ("COPY", "ADD") and "dags" in (each.words or [""])[-1]
        for each in subject.dockerfile.instructions
    )
    if copies or any(name in environment for name in _ELSEWHERE):
        return
    folder = subject.listing.directory / "dags"
    on_disk = folder.is_dir() and any(folder.rglob("*.py"))
    listed = [
        file.path.removeprefix(_DAGS)
        for file in subject.listing.files
        if file.path.startswith(_DAGS) and file.path.endswith(".py")
    ]
    remedy = "Add one, or deploy without: skip_dag_parse."
    if not folder.is_dir():
        problem = "there is no directory dags/, and so no DAG"
    elif not on_disk:
        problem = "there is no Python file in dags/, and so no DAG"
    elif not listed:
        problem = f"{subject.listing.ignore_file.name} keeps all of dags/ out of the image"
        remedy = f"Remove the pattern from {subject.listing.ignore_file.name}."
    elif all(map(ignored.ignores, listed)):
        problem = f"{airflowignore.NAME} keeps Airflow from reading any file in dags/"
        remedy = f"Remove the pattern from dags/{airflowignore.NAME}."
    else:
        problem = "no file in dags/ has a DAG in it: Airflow reads those with the words 'airflow' and 'dag'"
    yield rules.NO_DAGS.broken_by("dags", problem, remedy)
