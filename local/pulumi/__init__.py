"""Stand-ins for the Pulumi plugins that no package registry serves; the real ones are used if available.

`language_host`, `docker_provider` and `random_provider` each say what they implement and refuse.
"""
