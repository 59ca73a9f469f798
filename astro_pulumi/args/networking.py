"""The network: how the webserver is reached, and which pods may talk to which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NotRequired, TypedDict
from urllib.parse import urlsplit

import pulumi

from astro_pulumi.args.default_types import Default, Defaults
from astro_pulumi.args.enums import Choice, ServiceType
from astro_pulumi.pulumi_inputs import computed

DEFAULTS: Final[Defaults] = {
    "ServiceArgs": {"type": Default("ClusterIP")},
    "IngressArgs": {"path": Default("/")},
    "HttpRouteArgs": {"path": Default("/"), "tls": Default(True)},
    "NetworkPolicyArgs": {"enabled": Default(True)},
}


class ServiceArgs(TypedDict):
    """How the webserver is reached."""

    type: NotRequired[Choice[ServiceType]]
    """`ClusterIP`, `NodePort` or `LoadBalancer`. A deploy waits for the address of a load balancer unless
    `base_url` is given. Default: `ClusterIP`."""
    node_port: NotRequired[pulumi.Input[int]]
    """Port on every node, 30000 to 32767, with type `NodePort`. Default: Kubernetes chooses."""
    load_balancer_source_ranges: NotRequired[Sequence[pulumi.Input[str]]]
    """CIDR ranges that may reach the load balancer, with type `LoadBalancer`:
    `["10.0.0.0/8", "2001:db8::/32"]`. Default: everyone."""
    annotations: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Annotations of the Service, such as the settings of a load balancer."""
    base_url: NotRequired[pulumi.Input[str]]
    """URL at which people open the UI: `https://airflow.acme.com`. Default: the URL of `ingress` or
    `http_route`, else the load balancer's address, else the Service's DNS name."""


class IngressArgs(TypedDict):
    """An Ingress in front of the webserver."""

    host: pulumi.Input[str]
    """Host name that people use: `airflow.acme.com`."""
    path: NotRequired[pulumi.Input[str]]
    """Path of the UI. Default: `/`."""
    class_name: NotRequired[pulumi.Input[str]]
    """IngressClass. Default: the cluster's default."""
    tls_secret: NotRequired[pulumi.Input[str]]
    """Secret of the namespace with the certificate of `host`. Default: no TLS."""
    annotations: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Annotations of the Ingress, such as the settings of its controller and of cert-manager."""


@dataclass(frozen=True, slots=True)
class Ingress:
    """Validated `IngressArgs`."""

    host: pulumi.Input[str]
    path: pulumi.Input[str]
    class_name: pulumi.Input[str] | None
    tls_secret: pulumi.Input[str] | None
    annotations: Mapping[str, pulumi.Input[str]]


class HttpRouteArgs(TypedDict):
    """A Gateway API HTTPRoute to the webserver."""

    gateway: pulumi.Input[str]
    """Name of the Gateway."""
    gateway_namespace: NotRequired[pulumi.Input[str]]
    """Namespace of the Gateway. Default: the Deployment's."""
    listener: NotRequired[pulumi.Input[str]]
    """Name of the Gateway's listener. Default: every listener that allows it."""
    host: pulumi.Input[str]
    """Host name that people use: `airflow.acme.com`."""
    path: NotRequired[pulumi.Input[str]]
    """Path of the UI. Default: `/`."""
    tls: NotRequired[pulumi.Input[bool]]
    """Whether the Gateway serves `host` with TLS. Default: true."""


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """Validated `HttpRouteArgs`. `tls` is in the base URL."""

    gateway: pulumi.Input[str]
    gateway_namespace: pulumi.Input[str] | None
    listener: pulumi.Input[str] | None
    host: pulumi.Input[str]
    path: pulumi.Input[str]


@dataclass(frozen=True, slots=True)
class Exposure:
    """Validated `ServiceArgs`, with the Ingress and the HTTPRoute."""

    type: str
    node_port: pulumi.Input[int] | None
    load_balancer_source_ranges: tuple[pulumi.Input[str], ...]  # empty: everyone
    annotations: Mapping[str, pulumi.Input[str]]
    base_url: pulumi.Input[str] | None  # without a slash at its end
    ingress: Ingress | None
    http_route: HttpRoute | None

    @property
    def base_path(self) -> pulumi.Input[str]:
        """The path of the base URL, without a slash at its end: "" or `/airflow`."""
        path: pulumi.Input[str] = computed(lambda url: urlsplit(url).path, self.base_url or "")
        return path

    @property
    def over_https(self) -> pulumi.Input[bool]:
        """Whether people use HTTPS."""
        https: pulumi.Input[bool] = computed(
            lambda url: url.startswith("https:"), self.base_url or ""
        )
        return https

    @property
    def behind_proxy(self) -> pulumi.Input[bool]:
        """Whether a proxy stands before the webserver. Airflow itself speaks plain HTTP only."""
        return True if self.ingress or self.http_route else self.over_https


class NetworkPolicyArgs(TypedDict):
    """Which pods may talk to which. Enforced only if the cluster's network supports it."""

    enabled: NotRequired[bool]
    """Whether NetworkPolicies are made. Default: true."""
    webserver_from: NotRequired[Sequence[Mapping[str, pulumi.Input[Any]]]]
    """Who may reach the webserver, as the `from` of a NetworkPolicy. Default: everyone."""
    egress: NotRequired[Sequence[Mapping[str, pulumi.Input[Any]]]]
    """Addresses that every Airflow pod may call besides those in other arguments, as the `egress` of a
    NetworkPolicy: `[{"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"port": 8200}]}]`."""


@dataclass(frozen=True, slots=True)
class NetworkPolicies:
    """Validated `NetworkPolicyArgs`."""

    enabled: bool
    webserver_from: tuple[Mapping[str, Any], ...] | None
    egress: tuple[Mapping[str, Any], ...]
