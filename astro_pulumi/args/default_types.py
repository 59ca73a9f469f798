"""Types for the defaults of arguments. Each module of `args` declares its own in `DEFAULTS`.

SDKs of other languages send a default of the schema as if the user had given it. So an argument has none
there if giving it says something by itself: `port` means that the database is the user's. Its default is
`unsent`.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Default(NamedTuple):
    """The default of one argument."""

    value: str | int | bool
    in_schema: bool = True


# By type and name of the argument.
Defaults = Mapping[str, Mapping[str, Default]]


def unsent(value: str | int | bool) -> Default:
    """Return a default that the reader uses and the schema does not have."""
    return Default(value, in_schema=False)
