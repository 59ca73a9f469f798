"""Read the arguments of the broker."""

from typing import Final

from astro_pulumi.args.broker import ExternalBroker
from astro_pulumi.args.embedded_or_external import EmbeddedService
from astro_pulumi.args.resources_and_placement import Placement
from astro_pulumi.validation import existing_secrets
from astro_pulumi.validation.argument_reader import Arguments
from astro_pulumi.validation.embedded_or_external import (
    is_external,
    read_address,
    read_embedded,
    url_check,
)

_EXTERNAL_ONLY: Final = (
    *("port", "database", "username", "password", "login_from", "tls"),
    *("ca_certificate", "ca_certificate_from"),
)
_CHECK_URL: Final = url_check(r"^rediss?://\S+$", "rediss://:password@host:6379/0")


def read_broker(args: Arguments, placement: Placement) -> EmbeddedService | ExternalBroker:
    """Return the user's Redis, or the embedded one."""
    if not is_external(args, _EXTERNAL_ONLY):
        return read_embedded(args, "redis", placement)
    return ExternalBroker(
        **read_address(args, _CHECK_URL),
        login_from=existing_secrets.read_login(args, needs_user=False),
        database=args.number("database", 0, 1000),
        tls=args.flag("tls"),
    )
