"""The local platform: a real Kubernetes, Docker and registry from package registries alone.

It is not part of the `astro_pulumi` package. With `python -m local up`, a machine without a cluster and
without Docker, such as a fresh CI runner, can run the real product.
"""
