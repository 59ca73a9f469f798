"""The arguments with a closed set of values, as enums.

A program may give the enum or its value as a string.
"""

from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, TypeVar, Union

E = TypeVar("E", bound=Enum)

if TYPE_CHECKING:
    Choice = Union[E, str]  # noqa: UP007 mypy takes only this form as a generic alias
else:

    class Choice:
        """What a type checker takes for an enum or a string, and Pulumi's analyser for the enum alone."""

        def __class_getitem__(cls, enum: Any) -> Any:
            """Return the enum: the analyser knows no unions."""
            return enum


class ServiceType(StrEnum):
    """How the webserver's Service is reached."""

    CLUSTER_IP = "ClusterIP"
    """In the cluster only."""
    NODE_PORT = "NodePort"
    """At a port of every node."""
    LOAD_BALANCER = "LoadBalancer"
    """At an address that the cluster assigns."""


class AutoscalingType(StrEnum):
    """What decides how many workers run."""

    CPU = "cpu"
    """A HorizontalPodAutoscaler, which needs the metrics server."""
    KEDA = "keda"
    """A KEDA ScaledObject that counts queued and running tasks, which needs KEDA."""


class SslMode(StrEnum):
    """How connections to the database are encrypted, and what is verified: libpq's `sslmode`."""

    DISABLE = "disable"
    """Not encrypted."""
    ALLOW = "allow"
    """Encrypted if the server insists."""
    PREFER = "prefer"
    """Encrypted if the server can."""
    REQUIRE = "require"
    """Encrypted."""
    VERIFY_CA = "verify-ca"
    """Encrypted, with a certificate of a known authority."""
    VERIFY_FULL = "verify-full"
    """Encrypted, with a certificate of a known authority for this host."""


class DatabaseDowngrade(StrEnum):
    """Whether a deploy of an older Airflow may downgrade the database."""

    ALLOW = "allow"
    """The database is downgraded."""
    REFUSE = "refuse"
    """The deploy is refused, and nothing is changed."""


class TolerationOperator(StrEnum):
    """How a toleration matches a taint."""

    EQUAL = "Equal"
    """Key and value are equal."""
    EXISTS = "Exists"
    """The key is equal; without a key every taint matches."""


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    """New pods are not placed on the node."""
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    """New pods are placed on the node only if there is no other."""
    NO_EXECUTE = "NoExecute"
    """Running pods are removed as well."""
