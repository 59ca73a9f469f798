"""Stand-ins for Pulumi plugins that no package registry serves: each names what it refuses."""
