"""Every error that this package raises on purpose: one small hierarchy.

Each message says what is wrong, where (file and line, or argument path), and what to do. The command
line and the component show the message alone; anything that is not an `AstroError` is a bug.
"""


class AstroError(Exception):
    """Root of the hierarchy. `str(error)` is complete: what is wrong, where, and what to do."""


class ProjectError(AstroError):
    """The Astro project on disk cannot be deployed as it is."""


class ArgumentError(AstroError):
    """An argument of a component or an option of the command line is wrong."""

    def __init__(self, argument: str, problem: str) -> None:
        """`argument` is the path as the user wrote it: `workerQueues[0].concurrency`."""
        super().__init__(f"{argument}: {problem}")
        self.argument = argument


class ReleaseError(AstroError):
    """There is no such release, or it cannot be deployed again."""


class PulumiError(AstroError):
    """The Pulumi CLI is missing or too old, or the project or stack cannot be used with it."""


class ClusterError(AstroError):
    """The Kubernetes API does not answer or refuses a request, or a kubeconfig cannot be used."""

    def __init__(self, message: str, status: int = 0) -> None:
        """`status` is the HTTP status of a refusal; 0 if there was no answer."""
        super().__init__(message)
        self.status = status
