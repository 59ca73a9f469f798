"""A cache for one run of a program: several Deployments read their project and its git commit once."""

from collections.abc import Callable, Hashable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from pulumi.runtime.settings import get_monitor

P = ParamSpec("P")
R = TypeVar("R")


def cached_per_run(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that calls `function` once per run for each set of hashable arguments.

    The cache ends with the run of the program, not with the process: with the Automation API one process
    runs a program several times, and the project changes between the runs.
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
