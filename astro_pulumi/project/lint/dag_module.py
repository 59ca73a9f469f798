"""The DAGs that can be seen in a Python file without running it."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from astro_pulumi.project.findings import Finding
from astro_pulumi.project.lint import rules

_LONGEST_DAG_ID: Final = 250  # airflow.utils.helpers.validate_key
_DAG_ID = re.compile(r"^[\w.-]+$")


@dataclass(frozen=True, slots=True)
class DefinedDag:
    """A DAG that a file defines for certain, whatever the environment."""

    dag_id: str
    file: str
    line: int
    column: int


class _Decorated(NamedTuple):
    function: ast.FunctionDef
    decorator: ast.expr
    dag_id: str | None  # None when it is made at run time


class DagModule:
    """The DAGs that can be seen in one file."""

    def __init__(self, path: str, tree: ast.Module) -> None:
        self.path = path
        self.tree = tree
        self.classes: set[str] = set()  # local names of airflow's DAG and of its subclasses
        self.decorators: set[str] = set()  # local names of airflow's @dag
        self.modules: set[str] = set()  # local names of airflow's modules: models.DAG
        self.constants: dict[str, str] = {}
        self.used: set[str] = set()
        self._read_names()
        self.decorated = {each.function.name: each for each in self._decorated()}
        self.defined = list(self._defined())

    def _read_names(self) -> None:
        """One walk over the code: what is imported from Airflow, and which names are used."""
        stored: Counter[str] = Counter()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name):
                if isinstance(node.ctx, ast.Load):
                    self.used.add(node.id)
                else:
                    stored[node.id] += 1
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                self._read_import(node.module.partition(".")[0], node.names)
            elif isinstance(node, ast.Import):
                self.modules.update(
                    (alias.asname or alias.name).partition(".")[0]
                    for alias in node.names
                    if alias.name.partition(".")[0] == "airflow"
                )
        for statement in self.tree.body:
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                target, text = statement.targets[0], self._literal(statement.value)
                if isinstance(target, ast.Name) and text is not None and stored[target.id] == 1:
                    self.constants[target.id] = text

    def _read_import(self, package: str, names: list[ast.alias]) -> None:
        for alias in names:
            local = alias.asname or alias.name
            if (package, alias.name) in (("airflow", "DAG"), ("cosmos", "DbtDag")):
                self.classes.add(local)
            elif (package, alias.name) == ("airflow", "dag"):
                self.decorators.add(local)
            elif package == "airflow":
                self.modules.add(local)

    def _is_airflows(self, node: ast.expr, names: set[str], attribute: str) -> bool:
        if isinstance(node, ast.Name):
            return node.id in names
        if isinstance(node, ast.Attribute) and node.attr == attribute:
            while isinstance(node, ast.Attribute):
                node = node.value
            return isinstance(node, ast.Name) and node.id in self.modules
        return False

    def _literal(self, node: ast.expr | None) -> str | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        return self.constants.get(node.id) if isinstance(node, ast.Name) else None

    @staticmethod
    def _dag_id(call: ast.Call) -> ast.expr | None:
        """The argument `dag_id`, None when it is not given."""
        if call.args:
            return call.args[0]
        named = [keyword.value for keyword in call.keywords if keyword.arg == "dag_id"]
        unpacked = [keyword.value for keyword in call.keywords if keyword.arg is None]
        return next(iter((*named, *unpacked)), None)

    def _decorated(self) -> Iterator[_Decorated]:
        for node in self.tree.body:
            if not isinstance(node, ast.FunctionDef):
                continue
            for decorator in node.decorator_list:
                call = decorator if isinstance(decorator, ast.Call) else None
                target = call.func if call else decorator
                if self._is_airflows(target, self.decorators, "dag"):
                    given = self._dag_id(call) if call else None
                    dag_id = node.name if given is None else self._literal(given)
                    yield _Decorated(node, decorator, dag_id)

    def _defined(self) -> Iterator[DefinedDag]:
        """What is made in the module's own lines: not in functions, branches and loops."""
        for statement in self.tree.body:
            if isinstance(statement, ast.With):
                calls = [item.context_expr for item in statement.items]
            elif isinstance(statement, ast.Expr | ast.Assign | ast.AnnAssign) and statement.value:
                calls = [statement.value]
            else:
                continue
            for call in calls:
                if not isinstance(call, ast.Call):
                    continue
                dag_id, where = self._made_by(call)
                if dag_id is not None:
                    yield DefinedDag(dag_id, self.path, where.lineno, where.col_offset + 1)

    def _made_by(self, call: ast.Call) -> tuple[str | None, ast.expr]:
        if self._is_airflows(call.func, self.classes, "DAG"):
            given = self._dag_id(call)
            return self._literal(given), given or call
        if isinstance(call.func, ast.Name) and call.func.id in self.decorated:
            decorated = self.decorated[call.func.id]
            return decorated.dag_id, decorated.decorator
        return None, call

    def findings(self) -> Iterator[Finding]:
        """What is wrong with this file's DAGs, whatever the other files."""
        for dag in self.defined:
            if not _DAG_ID.match(dag.dag_id) or len(dag.dag_id) > _LONGEST_DAG_ID:
                yield rules.BAD_DAG_ID.broken_by(
                    self.path,
                    f"Airflow refuses the dag_id {dag.dag_id[:60]!r}"
                    + (
                        f" with {len(dag.dag_id)} characters"
                        if len(dag.dag_id) > _LONGEST_DAG_ID
                        else ""
                    ),
                    f"Up to {_LONGEST_DAG_ID} letters, digits, dashes, dots and underscores; what people "
                    "see is dag_display_name.",
                    dag.line,
                    dag.column,
                )
        for name, decorated in self.decorated.items():
            if name not in self.used and not _is_exported(self.tree, name):
                yield rules.DAG_NEVER_CALLED.broken_by(
                    self.path,
                    f"{name}() is decorated with @dag and never called, so that there is no such DAG",
                    f"Add {name}() at the end of the file.",
                    decorated.function.lineno,
                    decorated.function.col_offset + 1,
                )


def _is_exported(tree: ast.Module, name: str) -> bool:
    """Whether other files are meant to call it: `__all__` has its name."""
    return any(
        isinstance(node, ast.Constant) and node.value == name
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for node in ast.walk(statement)
    )
