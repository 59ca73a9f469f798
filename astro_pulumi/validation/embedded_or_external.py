"""Read what database and broker have in common: a service of the user, or an embedded one."""

import re
from typing import Any, Final

from astro_pulumi.args.embedded_or_external import EmbeddedService
from astro_pulumi.args.resources_and_placement import Placement
from astro_pulumi.errors import ArgumentError
from astro_pulumi.validation import existing_secrets
from astro_pulumi.validation.argument_reader import Arguments, Check
from astro_pulumi.validation.images import check_image
from astro_pulumi.validation.resources_and_placement import read_placement, read_resources

_EMBEDDED_ONLY: Final = (
    *("image", "storage_size", "storage_class", "resources", "placement"),
    "backup_before_downgrade",
)


def is_external(args: Arguments, external_only: tuple[str, ...]) -> bool:
    """Return whether the service is the user's. Refuse arguments of the other kind.

    Args:
        args: Arguments of the database or the broker.
        external_only: The arguments that an embedded service does not have, besides `url` and `host`.
    """
    if args.has("url") and args.has("host"):
        raise ArgumentError(args.path("host"), "must not be given with `url`")
    external = args.has("url") or args.has("host")
    for key in _EMBEDDED_ONLY:
        if external and args.has(key):
            raise ArgumentError(
                args.path(key), "is of the embedded service; `url` or `host` is not"
            )
    for key in external_only:
        if not external and args.has(key):
            raise ArgumentError(args.path(key), "is of a service of yours; give its `host` too")
        if args.has("url") and args.has(key) and not key.startswith("ca_certificate"):
            raise ArgumentError(args.path(key), "must not be given with `url`, which says it")
    return external


def read_address(args: Arguments, check_url: Check[str]) -> dict[str, Any]:
    """Return the fields of `ExternalService` but the login."""
    texts = ("host", "username", "password")
    return {
        "url": args.optional_text("url", check_url),
        **{key: args.optional_text(key) for key in texts},
        "ca_certificate": existing_secrets.read_value(args, "ca_certificate"),
        "port": args.number("port", 1, 65535),
    }


def read_embedded(args: Arguments, component: str, placement: Placement) -> EmbeddedService:
    """Read the arguments of an embedded service."""
    return EmbeddedService(
        image=args.text("image", check_image),
        storage_size=args.quantity("storage_size"),
        storage_class=args.optional_text("storage_class"),
        resources=read_resources(args, component),
        placement=read_placement(args, placement),
    )


def url_check(pattern: str, example: str) -> Check[str]:
    """Return a check that refuses a URL of another form, and a login that would be read as something else."""

    def check(url: str, path: str) -> str:
        if not re.match(pattern, url):
            raise ArgumentError(path, f"must look like {example}")
        authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
        if "@" in url and "@" not in authority:
            raise ArgumentError(
                path,
                "has a /, ? or # in its user name or password: write it as %2F, %3F or %23, or give "
                "`host`, `username` and `password`, which are encoded for you",
            )
        return url

    return check
