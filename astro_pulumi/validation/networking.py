"""Read the arguments of the network: the way to the webserver, and traffic between pods."""

import re
from ipaddress import ip_network
from typing import Final

import pulumi

from astro_pulumi.args.enums import ServiceType
from astro_pulumi.args.networking import Exposure, HttpRoute, Ingress, NetworkPolicies
from astro_pulumi.errors import ArgumentError
from astro_pulumi.pulumi_inputs import computed
from astro_pulumi.validation.argument_reader import Arguments

_HOST = re.compile(r"^[A-Za-z0-9*]([-A-Za-z0-9.]*[A-Za-z0-9])?$")
# Argument of the Service -> the type that it needs.
_NEEDED_TYPES: Final = {
    "node_port": ServiceType.NODE_PORT,
    "load_balancer_source_ranges": ServiceType.LOAD_BALANCER,
}
# Python's `ip_network` also takes an address alone, a netmask and a zone. Kubernetes refuses them.
_ADDRESS_AND_PREFIX = re.compile(r"^[0-9A-Fa-f.:]+/[0-9]+$")


def read_exposure(given: Arguments) -> Exposure:
    """Read how people reach the webserver."""
    args = given.section("service")
    kind = args.plain_choice("type", ServiceType)
    for key, needed in _NEEDED_TYPES.items():
        if args.has(key) and kind != needed:
            raise ArgumentError(args.path(key), f"needs type {needed}, not {kind}")
    return Exposure(
        type=kind,
        node_port=args.optional_number("node_port", 30000, 32767),
        load_balancer_source_ranges=tuple(args.texts("load_balancer_source_ranges", _check_range)),
        annotations=args.strings("annotations"),
        base_url=_read_base_url(given),
        ingress=_read_ingress(given) if given.has("ingress") else None,
        http_route=_read_http_route(given) if given.has("http_route") else None,
    )


def _check_range(cidr: str, path: str) -> str:
    if not _is_range(cidr):
        raise ArgumentError(
            path, f"{cidr!r} is not a CIDR range such as 10.0.0.0/8, with zeros after the prefix"
        )
    return cidr


def _is_range(cidr: str) -> bool:
    try:
        ip_network(cidr)
    except ValueError:
        return False
    return bool(_ADDRESS_AND_PREFIX.match(cidr))


def _read_base_url(given: Arguments) -> pulumi.Input[str] | None:
    """Return the URL that people use, without a slash at its end. None if it is unknown."""
    service = given.section("service")
    if service.has("base_url"):
        return service.optional_text("base_url", _check_base_url)
    for key in ("http_route", "ingress"):
        if given.has(key):
            args = given.section(key)
            url: pulumi.Input[str] = computed(
                lambda https, host, path: f"http{'s' * https}://{host}{path}".rstrip("/"),
                args.flag("tls") if key == "http_route" else args.has("tls_secret"),
                args.text("host", check=_check_host),
                args.text("path", _check_path),
            )
            return url
    return None


def _check_base_url(url: str, path: str) -> str:
    if not re.match(r"^https?://[^/\s]+", url):
        raise ArgumentError(path, f"{url!r} is not a URL such as https://...")
    return url.rstrip("/")


def _read_ingress(given: Arguments) -> Ingress:
    args = given.section("ingress")
    return Ingress(
        host=args.text("host", check=_check_host),
        path=args.text("path", _check_path),
        class_name=args.optional_text("class_name"),
        tls_secret=args.optional_text("tls_secret"),
        annotations=args.strings("annotations"),
    )


def _read_http_route(given: Arguments) -> HttpRoute:
    args = given.section("http_route")
    return HttpRoute(
        gateway=args.text("gateway"),
        gateway_namespace=args.optional_text("gateway_namespace"),
        listener=args.optional_text("listener"),
        host=args.text("host", check=_check_host),
        path=args.text("path", _check_path),
    )


def _check_host(host: str, path: str) -> str:
    if not _HOST.match(host):
        raise ArgumentError(path, f"{host!r} is not a host name such as airflow.acme.com")
    return host


def _check_path(url_path: str, path: str) -> str:
    if not url_path.startswith("/") or re.search(r"[\s?#]", url_path):
        raise ArgumentError(path, f"{url_path!r} must start with / and be a path only")
    return url_path


def read_network_policies(args: Arguments) -> NetworkPolicies:
    """Read which pods may talk to which."""
    return NetworkPolicies(
        enabled=args.plain_flag("enabled"),
        webserver_from=tuple(args.mappings("webserver_from"))
        if args.has("webserver_from")
        else None,
        egress=tuple(args.mappings("egress")),
    )
