"""Reads once in a run of a program what several Deployments share: the project, its git commit."""

from collections.abc import Callable, Hashable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from pulumi.runtime.settings import get_monitor

P = ParamSpec("P")
R = TypeVar("R")


def once_in_a_run(function: Callable[P, R]) -> Callable[P, R]:
    """Calls `function` once for each set of arguments, which must be hashable.

    In a run of the program, not in the process: with the Automation API a process runs many, and the
    project changes between them.
    """
    runs: WeakKeyDictionary[Any, dict[Hashable, R]] = WeakKeyDictionary()

    @wraps(function)
    def remembered(*args: P.args, **kwargs: P.kwargs) -> R:
        run = get_monitor()
        if run is None:
            return function(*args, **kwargs)
        known = runs.setdefault(run, {})
        key = (Path.cwd(), args, frozenset(kwargs.items()))  # paths may be relative
        if key not in known:
            known[key] = function(*args, **kwargs)
        return known[key]

    return remembered
