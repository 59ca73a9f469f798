"""`astro deploy`, as infrastructure code, for any Kubernetes cluster."""
