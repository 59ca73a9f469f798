"""Rules on DAG files, plugins and other Python code, without running it.

The code is compiled by the linter's Python, which is rarely the image's. Syntax that a newer Python may
accept is not reported: the release Job parses every DAG in the image.
"""

import ast
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Final

from astro_pulumi.project import base_image_tag
from astro_pulumi.project.build_steps import DAG_FOLDER_SETTINGS, brings_other_dags
from astro_pulumi.project.image_files import content_of, decode
from astro_pulumi.project.lint import airflowignore, rules
from astro_pulumi.project.lint.findings import Finding
from astro_pulumi.project.lint.layout import other_projects
from astro_pulumi.project.lint.lint_context import LintContext

_DAGS: Final = "dags/"
_PLUGINS: Final = "plugins/"
_CODE: Final = (_DAGS, _PLUGINS, "include/")
_UNSAFE: Final = (
    "AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE",
    "AIRFLOW__CORE__MIGHT_CONTAIN_DAG_CALLABLE",
)
_TEMPLATE = re.compile(rb"\{\{.*\}\}|\{%.*%\}|\$\{?[A-Za-z_]")  # of code, such as cookiecutter's
_MERGE_MARKER = re.compile(r"^(?:<{7}|={7}|>{7})(?: |$)", re.MULTILINE)
# Python version, message of an older Python, and text on the line of the error.
_NEWER_SYNTAX: Final = (
    ((3, 12), r"^f-string", ""),  # quotes and backslashes in f-strings: PEP 701
    ((3, 12), "unterminated string|after line continuation", r"\b[rR]?[fF][rR]?[\"']"),
    ((3, 12), "", r"^\s*type\s+\w+\s*[\[=]|\b(?:def|class)\s+\w+\s*\["),  # type parameters: PEP 695
    ((3, 13), "", r"\b(?:def|class|type)\s+\w+\s*\[.*="),  # their defaults: PEP 696
    ((3, 14), "multiple exception types", ""),  # except without parentheses: PEP 758
    ((3, 14), "", r"\b[rR]?[tT][rR]?[\"']"),  # template strings: PEP 750
)


def check_dags(context: LintContext) -> Iterator[Finding]:
    """Check that there are DAGs, and that Python code can be compiled."""
    ignored = _airflow_ignore(context)
    is_elsewhere = any(name in context.dockerfile.environment for name in DAG_FOLDER_SETTINGS)
    for file in context.listing.files:
        if file.is_link or not file.path.endswith(".py") or not file.path.startswith(_CODE):
            continue
        try:
            content = content_of(file)
        except OSError:
            continue
        is_read = (
            file.path.startswith(_DAGS)
            and not is_elsewhere
            and not ignored.ignores(file.path.removeprefix(_DAGS))
            and _might_hold_dag(content, context)
        ) or file.path.startswith(_PLUGINS)
        yield from _check_code(context, file.path, content, is_read)
    yield from _no_dags(context)


def _airflow_ignore(context: LintContext) -> airflowignore.AirflowIgnore:
    return airflowignore.AirflowIgnore(
        (file.path.removeprefix(_DAGS).rpartition("/")[0], decode(content_of(file)))
        for file in context.listing.files
        if file.path.startswith(_DAGS) and file.path.endswith(f"/{airflowignore.NAME}")
    )


def _might_hold_dag(content: bytes, context: LintContext) -> bool:
    """Return whether Airflow imports the file (`might_contain_dag` in Airflow)."""
    if any(name in context.dockerfile.environment for name in _UNSAFE):
        return True
    lower = content.lower()
    return b"dag" in lower and b"airflow" in lower


def _check_code(
    context: LintContext, path: str, content: bytes, is_read: bool
) -> Iterator[Finding]:
    """Compile `content`. `is_read` tells whether Airflow imports the file by itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about the user's code are not findings
            tree = ast.parse(content, path)
            compile(tree, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError) as error:
        text = decode(content)
        line, column, problem = _explain(text, error)
        if _may_be_newer(context, text, line, problem) or (
            not is_read and _TEMPLATE.search(content)
        ):
            return
        rule = rules.SYNTAX_ERROR if is_read else rules.SYNTAX_ERROR_ELSEWHERE
        remedy = (
            "Correct it: Airflow cannot import the file."
            if is_read
            else "Correct it, or add the file to .dockerignore: DAGs that import it fail."
        )
        yield rule.broken_by(path, problem, remedy, line, column)
    except (RecursionError, MemoryError):
        return  # limits of this process, not of the image's Python


def _explain(text: str, error: SyntaxError | ValueError) -> tuple[int, int, str]:
    """Return line, column and description of an error."""
    if marker := _MERGE_MARKER.search(text):
        return text.count("\n", 0, marker.start()) + 1, 1, f"unresolved merge conflict: {marker[0]}"
    if isinstance(error, SyntaxError):
        return error.lineno or 1, max(error.offset or 1, 1), f"{error.msg}"
    return 1, 1, f"Python cannot compile it: {error}"


def _may_be_newer(context: LintContext, text: str, line: int, problem: str) -> bool:
    """Return whether the error is about syntax that only the image's Python knows."""
    python = base_image_tag.python_version(context.base) if context.base else None
    lines = text.splitlines()
    code = lines[line - 1] if line <= len(lines) else ""
    return any(
        sys.version_info[:2] < since
        and (python is None or python >= since)
        and re.search(message, problem)
        and re.search(pattern, code)
        for since, message, pattern in _NEWER_SYNTAX
    )


def _no_dags(context: LintContext) -> Iterator[Finding]:
    listing = context.listing
    has_dags = any(
        f"{file.path}/".startswith(_DAGS) and (file.is_link or file.path.endswith((".py", ".zip")))
        for file in listing.files
    )
    if has_dags or brings_other_dags(context.dockerfile, listing.by_path):
        return
    folder = listing.directory / "dags"
    remedy = (
        "Add one. To deploy without DAGs: `astro-pulumi deploy --skip-dag-parse`, or set astro:skipDagParse "
        "in the stack's configuration to the number of the release to make."
    )
    if folder.is_symlink():
        problem = "dags is a link out of the project, and links are not followed"
        remedy = "Replace the link with a copy of the directory."
    elif not folder.is_dir():
        problem = "there is no directory dags/"
        remedy = other_projects(listing.directory) or remedy
    elif not any(folder.rglob("*.py")):
        problem = "there is no Python file in dags/"
    else:
        problem = f"{listing.ignore_file.name} excludes all of dags/ from the image"
        remedy = f"Remove the pattern from {listing.ignore_file.name}."
    yield rules.NO_DAGS.broken_by("dags", problem, remedy)
