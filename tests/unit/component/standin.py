"""`astro-pulumi` with providers that answer at once, as those of the mock engine do, and make nothing."""

from typing import Any

from astro_pulumi.cli.main import main
from astro_pulumi.embedded import deployment
from astro_pulumi.embedded.provider import (
    CheckResult,
    DiffResult,
    Provider,
    ReadResult,
    Request,
)
from astro_pulumi.embedded.values import Properties
from tests.mock_engine import answer


class StandIn(Provider):
    """Any provider."""

    version = "1.0.0"

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self, request: Request) -> CheckResult:
        return CheckResult(request.inputs)

    def diff(self, request: Request) -> DiffResult:
        return DiffResult(changes=request.inputs != request.old_inputs)

    def create(self, request: Request) -> tuple[str, Properties]:
        resource = request.resource
        made: dict[str, Any] = answer(
            resource.type, resource.name, dict(request.inputs), request.preview
        )
        return f"{resource.name}-id", made

    def update(self, request: Request) -> Properties:
        return dict(request.inputs)

    def read(self, request: Request) -> ReadResult | None:
        return None

    def recover(self, request: Request) -> ReadResult | None:
        return None

    def delete(self, request: Request) -> None:
        pass

    def cancel(self) -> None:
        pass


if __name__ == "__main__":
    setattr(deployment, "make_provider", lambda package, config: StandIn(package))  # noqa: B010
    main()
