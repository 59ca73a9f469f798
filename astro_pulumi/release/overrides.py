"""What `astro-pulumi deploy` says of one deploy, through the stack's configuration."""

from collections.abc import Mapping
from typing import Any, Final

import pulumi

CONFIG_NAMESPACE: Final = "astro"


def overridden(args: Any) -> Any:
    """The program's arguments with `astro:description` and `astro:skipDagParse` in their place."""
    if not isinstance(args, Mapping):
        return args  # refused where arguments are read
    config = pulumi.Config(CONFIG_NAMESPACE)
    description = config.get("description")
    return {
        **args,
        **({"description": description} if description else {}),
        **({"skip_dag_parse": True} if config.get("skipDagParse") == "true" else {}),
    }
