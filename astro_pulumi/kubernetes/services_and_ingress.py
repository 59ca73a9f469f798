"""Services, and the ways to the webserver from outside: its Service, Ingress and HTTPRoute."""

from collections.abc import Mapping
from typing import Any

import pulumi

from astro_pulumi.airflow.ports import WEBSERVER_PORT
from astro_pulumi.args.networking import HttpRoute, Ingress
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.labels import SKIP_AWAIT, Manifest, labels, selector
from astro_pulumi.naming import WEBSERVER, object_name

# Wait for an address only, not for pods behind it, as with every Service here.
_HAS_ADDRESS = {"pulumi.com/waitFor": "jsonpath={.status.loadBalancer.ingress[0]}"}


def service(
    spec: DeploymentSpec,
    component: str,
    *ports: Manifest,
    annotations: Mapping[str, Any] = SKIP_AWAIT,
    **more: Any,
) -> Manifest:
    """Build the Service of a component's pods. `more` has further fields of its `spec`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": object_name(spec.name, component),
            "labels": labels(spec.name, component),
            "annotations": dict(annotations),
        },
        "spec": {**more, "selector": selector(spec.name, component), "ports": list(ports)},
    }


def port(name: str, number: int, **more: Any) -> Manifest:
    """Build a port of a Service, for the container's port of the same name."""
    return {"name": name, "port": number, "targetPort": name, **more}


def url_is_of_load_balancer(spec: DeploymentSpec) -> bool:
    """Return whether the cluster chooses the address of the webserver."""
    return spec.exposure.type == "LoadBalancer" and spec.exposure.base_url is None


def load_balancer_url(status: dict[str, Any]) -> str:
    """Return the URL of a Service with an address."""
    (first, *_) = status["loadBalancer"]["ingress"]
    host = first.get("hostname") or first["ip"]
    return f"http://{f'[{host}]' if ':' in host else host}:{WEBSERVER_PORT}"


def webserver_url(
    spec: DeploymentSpec, status: pulumi.Output[dict[str, Any]], namespace: pulumi.Output[str]
) -> pulumi.Output[str]:
    """Return the URL that people reach the webserver at.

    Args:
        spec: The Deployment.
        status: Status of the webserver's Service.
        namespace: Name of the namespace.
    """
    if url_is_of_load_balancer(spec):
        return status.apply(load_balancer_url)
    if spec.exposure.base_url is not None:
        return pulumi.Output.from_input(spec.exposure.base_url)
    host = object_name(spec.name, WEBSERVER)
    return pulumi.Output.format("http://{0}.{1}:{2}", host, namespace, WEBSERVER_PORT)


def webserver_service(spec: DeploymentSpec) -> Manifest:
    """Build the webserver's Service."""
    exposure = spec.exposure
    node_port = {} if exposure.node_port is None else {"nodePort": exposure.node_port}
    ranges = list(exposure.load_balancer_source_ranges)
    awaited = _HAS_ADDRESS if url_is_of_load_balancer(spec) else SKIP_AWAIT
    return service(
        spec,
        WEBSERVER,
        port("http", WEBSERVER_PORT, **node_port),
        annotations={**awaited, **exposure.annotations},
        type=exposure.type,
        **({"loadBalancerSourceRanges": ranges} if ranges else {}),
    )


def webserver_ingress(spec: DeploymentSpec, ingress: Ingress) -> Manifest:
    """Build the Ingress to the webserver's Service."""
    service = {"name": object_name(spec.name, WEBSERVER), "port": {"name": "http"}}
    path = {"path": ingress.path, "pathType": "Prefix", "backend": {"service": service}}
    tls = [{"hosts": [ingress.host], "secretName": ingress.tls_secret}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": object_name(spec.name, WEBSERVER),
            "labels": labels(spec.name, WEBSERVER),
            "annotations": {**SKIP_AWAIT, **ingress.annotations},
        },
        "spec": {
            **({} if ingress.class_name is None else {"ingressClassName": ingress.class_name}),
            **({} if ingress.tls_secret is None else {"tls": tls}),
            "rules": [{"host": ingress.host, "http": {"paths": [path]}}],
        },
    }


def webserver_route(spec: DeploymentSpec, route: HttpRoute) -> Manifest:
    """Build the HTTPRoute to the webserver's Service."""
    parent = {
        "name": route.gateway,
        **({} if route.gateway_namespace is None else {"namespace": route.gateway_namespace}),
        **({} if route.listener is None else {"sectionName": route.listener}),
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": object_name(spec.name, WEBSERVER),
            "labels": labels(spec.name, WEBSERVER),
        },
        "spec": {
            "parentRefs": [parent],
            "hostnames": [route.host],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": route.path}}],
                    "backendRefs": [
                        {"name": object_name(spec.name, WEBSERVER), "port": WEBSERVER_PORT}
                    ],
                }
            ],
        },
    }
