"""The local platform: a real Kubernetes, Docker and registry from package registries alone.

Nothing here is part of the `astro_pulumi` package. It lets a machine that has neither a cluster nor
Docker, such as a fresh CI runner, run the real product: `python -m local up`.
"""
