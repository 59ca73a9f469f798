"""`astro-pulumi` with one provider more: `cloud`, whose objects are files in $CLOUD."""

import os
from pathlib import Path

from astro_pulumi.cli.main import main
from astro_pulumi.embedded import deployment, providers
from tests.unit.embedded.cloud import Cloud

make_provider = providers.make_provider


def make(package: str, config: object) -> object:
    """The test's provider, or one of the engine's."""
    if package == "cloud":
        cloud = Cloud(Path(os.environ["CLOUD"]))
        cloud.config = config  # type: ignore[assignment]
        return cloud
    return make_provider(package, config)  # type: ignore[arg-type]


if __name__ == "__main__":
    providers._FACTORIES["cloud"] = ("tests.unit.embedded.cloud", "Cloud")
    setattr(deployment, "make_provider", make)  # noqa: B010 - not its own to export
    main()
