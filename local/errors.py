"""Errors of the local platform, with their remedies."""


class LocalError(Exception):
    """Root of all errors that the local platform raises on purpose."""

    def __init__(self, what: str, *, why: str = "", to_do: str = "") -> None:
        """Take the problem, its reason and the remedy."""
        self.what = what
        self.why = why
        self.to_do = to_do
        super().__init__("\n".join(part for part in (what, why, to_do) if part))


class RequirementError(LocalError):
    """The machine lacks a requirement that the platform cannot install."""


class CommandError(LocalError):
    """A program (apt, go, mmdebstrap, kubectl ...) failed."""


class DaemonError(LocalError):
    """A daemon did not start or did not become ready. `why` ends with its last log lines."""


class ImageError(LocalError):
    """An image could not be built, pushed or pulled."""


class CancelledError(LocalError):
    """The work was cancelled, because other work failed or was interrupted."""


class StateError(LocalError):
    """The state on disk does not fit the request, for example because the platform is not up."""
