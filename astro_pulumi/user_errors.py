"""Shows errors as what they are to the user: a message, and no stack trace of this package."""

from collections.abc import Iterator
from contextlib import contextmanager

import pulumi

from astro_pulumi.errors import AstroError


@contextmanager
def shown_to_the_user() -> Iterator[None]:
    """Pulumi prints a `RunError` as its message alone; the `AstroError` stays its cause."""
    try:
        yield
    except AstroError as error:
        raise pulumi.RunError(str(error)) from error
