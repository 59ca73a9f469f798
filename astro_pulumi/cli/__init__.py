"""The command line `astro-pulumi`."""
