"""Kubernetes objects: pure builders of manifests, and their registration as Pulumi resources."""
