"""Errors shown to the user as a message, without a stack trace of this package."""

from collections.abc import Iterator
from contextlib import contextmanager

import pulumi

from astro_pulumi.errors import AstroError


@contextmanager
def shown_to_the_user() -> Iterator[None]:
    """Raise an `AstroError` as a `RunError`, of which Pulumi prints the message alone.

    The `AstroError` is the cause of the `RunError`.
    """
    try:
        yield
    except AstroError as error:
        raise pulumi.RunError(str(error)) from error
