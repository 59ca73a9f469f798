"""Entry point of `python -m astro_pulumi.cli`."""

from astro_pulumi.cli.main import main

main()
