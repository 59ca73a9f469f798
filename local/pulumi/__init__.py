"""Stand-ins for Pulumi plugins that no package registry serves. Real plugins have precedence.

`language_host`, `docker_provider` and `random_provider` each list their features and refusals.
"""
