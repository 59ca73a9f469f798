"""Pure builders of Kubernetes manifests: a `DeploymentSpec` in, plain data out. Nothing here acts."""
