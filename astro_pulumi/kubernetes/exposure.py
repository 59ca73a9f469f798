"""How people and tasks reach the webserver: Service, Ingress, HTTPRoute."""

from astro_pulumi.airflow.facts import WEBSERVER_PORT
from astro_pulumi.kubernetes.metadata import SKIP_AWAIT, Manifest, labels, object_name, selector
from astro_pulumi.spec import DeploymentSpec, HttpRoute, Ingress

COMPONENT = "webserver"


def webserver_service(spec: DeploymentSpec) -> Manifest:
    """The Service that people and tasks reach the webserver through."""
    port: Manifest = {"name": "http", "port": WEBSERVER_PORT, "targetPort": "http"}
    if spec.exposure.node_port:
        port["nodePort"] = spec.exposure.node_port
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": object_name(spec.name, COMPONENT),
            "labels": labels(spec.name, COMPONENT),
            "annotations": {**SKIP_AWAIT, **spec.exposure.annotations},
        },
        "spec": {
            "type": spec.exposure.type,
            "selector": selector(spec.name, COMPONENT),
            "ports": [port],
        },
    }


def webserver_ingress(spec: DeploymentSpec, ingress: Ingress) -> Manifest:
    """The Ingress to that Service."""
    service = {"name": object_name(spec.name, COMPONENT), "port": {"name": "http"}}
    path = {"path": ingress.path, "pathType": "Prefix", "backend": {"service": service}}
    tls = [{"hosts": [ingress.host], "secretName": ingress.tls_secret}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": object_name(spec.name, COMPONENT),
            "labels": labels(spec.name, COMPONENT),
            "annotations": {**SKIP_AWAIT, **ingress.annotations},
        },
        "spec": {
            **({"ingressClassName": ingress.class_name} if ingress.class_name else {}),
            **({"tls": tls} if ingress.tls_secret else {}),
            "rules": [{"host": ingress.host, "http": {"paths": [path]}}],
        },
    }


def webserver_route(spec: DeploymentSpec, route: HttpRoute) -> Manifest:
    """The HTTPRoute to that Service."""
    parent = {
        "name": route.gateway,
        **({"namespace": route.gateway_namespace} if route.gateway_namespace else {}),
        **({"sectionName": route.listener} if route.listener else {}),
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": object_name(spec.name, COMPONENT),
            "labels": labels(spec.name, COMPONENT),
        },
        "spec": {
            "parentRefs": [parent],
            "hostnames": [route.host],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": route.path}}],
                    "backendRefs": [
                        {"name": object_name(spec.name, COMPONENT), "port": WEBSERVER_PORT}
                    ],
                }
            ],
        },
    }
