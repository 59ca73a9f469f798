"""Kubernetes objects in the embedded engine."""

from astro_pulumi.embedded.providers.kubernetes.provider import KubernetesProvider

__all__ = ["KubernetesProvider"]
