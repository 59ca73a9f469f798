"""What can go wrong on the local platform, said so that a reader knows what to do next."""


class LocalError(Exception):
    """The root of every error that the local platform raises on purpose."""

    def __init__(self, what: str, *, why: str = "", to_do: str = "") -> None:
        self.what = what
        self.why = why
        self.to_do = to_do
        super().__init__("\n".join(part for part in (what, why, to_do) if part))


class RequirementError(LocalError):
    """This machine lacks something that the platform cannot install itself."""


class CommandError(LocalError):
    """A program that the platform ran (apt, go, mmdebstrap, kubectl ...) failed."""


class DaemonError(LocalError):
    """A daemon did not start, or did not become ready; `why` ends with its last log lines."""


class ImageError(LocalError):
    """An image could not be built, pushed or pulled."""


class CancelledError(LocalError):
    """Work that was given up, because other work that it belongs to failed or was interrupted."""


class StateError(LocalError):
    """The state on disk does not fit what was asked, for example nothing is up yet."""
