"""Errors that this package raises on purpose, in one hierarchy.

Each message says what is wrong, where (file and line, or argument path), and what to do. The command line and
the component show the message alone. Any other exception is a bug.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class AstroError(Exception):
    """Root of the hierarchy. `str(error)` has the problem, its place, and the remedy."""


class ProjectError(AstroError):
    """The Astro project on disk cannot be deployed as it is."""


class ArgumentError(AstroError):
    """An argument of a component or an option of the command line is wrong."""

    def __init__(self, argument: str, problem: str) -> None:
        """Take the argument's path as the user wrote it: `workerQueues[0].concurrency`."""
        super().__init__(f"{argument}: {problem}")
        self.argument = argument


class ReleaseError(AstroError):
    """There is no such release, or it cannot be deployed again."""


class PulumiError(AstroError):
    """The Pulumi CLI is missing or too old, or the project or stack cannot be used with it."""


class ClusterError(AstroError):
    """The Kubernetes API does not answer or refuses a request, or a kubeconfig cannot be used."""

    def __init__(self, message: str, status: int = 0) -> None:
        """Take the HTTP status of a refused request; 0 if there was no answer."""
        super().__init__(message)
        self.status = status


@contextmanager
def as_run_error() -> Iterator[None]:
    """Raise an `AstroError` as a `RunError`, of which Pulumi prints the message without a stack trace.

    The `AstroError` is the cause of the `RunError`.
    """
    try:
        yield
    except AstroError as error:
        import pulumi  # here: the command line has the same errors, and starts without the SDK

        raise pulumi.RunError(str(error)) from error
