"""The layers of the package, and limits on the size of modules and functions."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import astro_pulumi

ROOT: Final = Path(astro_pulumi.__file__).parent
REPOSITORY: Final = ROOT.parent
FOLDERS: Final = ("astro_pulumi", "bench", "local", "tools")
# A module imports from its own layer and from those above it. docs/architecture.md shows this table.
LAYERS: Final = (
    "errors naming pulumi_private_api stack_config strategic_merge",
    "args pulumi_inputs pulumi_run_cache pulumi_schema pulumi_version",
    "airflow.dag_deploys airflow.mounted_pod_files airflow.ports airflow.version airflow.version_differences",
    "project",
    "deployment_spec",
    "airflow",
    "pod_template_patch validation",
    "kubernetes",
    "release",
    "deployment generated_secrets project_image",
    "pulumi_plugin cli",
)
MOST_LINES: Final = 400
MOST_FUNCTION_LINES: Final = 60


def modules() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((REPOSITORY / folder).rglob("*.py"))]


def layer(module: str) -> int:
    """Return the number of a module's layer, by the longest name in the table."""
    found = [
        (name.count("."), number)
        for number, names in enumerate(LAYERS)
        for name in names.split()
        if f"{module}.".startswith(f"{name}.")
    ]
    assert found, f"{module} is in no layer"
    return max(found)[1]


def imports(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a file imports, relative to the package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, _, rest = node.module.partition(".")
            if package == "astro_pulumi" and rest:
                is_package = (ROOT / rest.replace(".", "/")).is_dir()
                yield from (f"{rest}.{one.name}" if is_package else rest for one in node.names)
            elif package == "astro_pulumi":
                yield from (one.name for one in node.names)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=str(path.relative_to(ROOT)))
        for path in sorted(ROOT.rglob("*.py"))
        if path.parent.name != "pod_files" and path != ROOT / "__init__.py"
    ],
)
def test_imports_go_one_way(path: Path) -> None:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    above = {one for one in imports(path) if one.split(".")[0] != "pod_files"}
    assert not {one for one in above if layer(one) > layer(name)}


def test_layers_name_what_exists() -> None:
    for name in " ".join(LAYERS).split():
        path = ROOT / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), name


def test_the_architecture_page_shows_the_layers() -> None:
    page = (REPOSITORY / "docs/architecture.md").read_text()
    rows = [f"| {number} | `{names}` |" for number, names in enumerate(LAYERS, 1)]
    assert [row for row in rows if row not in page] == []


def test_modules_are_short() -> None:
    long = {
        str(path.relative_to(REPOSITORY))
        for path in modules()
        if len(path.read_text().splitlines()) > MOST_LINES
    }
    assert long == set()


def test_function_bodies_are_short() -> None:
    """Signatures do not count: those of commands hold the help texts of the options."""
    long = {
        f"{path.relative_to(REPOSITORY)} {node.name}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.body[0].lineno >= MOST_FUNCTION_LINES
    }
    assert long == set()


def test_names_of_the_package_and_of_pod_files_are_in_one_module() -> None:
    shared = re.compile(
        "astro-pulumi/.*|ASTRO_[A-Z_]+|app.kubernetes.io/(name|instance|component|managed-by)"
    )
    elsewhere = {
        f"{path.relative_to(REPOSITORY)}:{node.lineno} {node.value}"
        for path in ROOT.rglob("*.py")
        if path.name != "astro_shared_names.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and shared.fullmatch(node.value)
    }
    assert elsewhere == set()


@pytest.mark.parametrize("name", astro_pulumi.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(astro_pulumi, name).__name__ == name
