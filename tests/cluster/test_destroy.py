"""Runs last: see `pytest_collection_modifyitems`."""

from tests.cluster.conftest import Deployed
from tests.cluster.kube import wait_until


def test_destroy_leaves_nothing_behind(deployed: Deployed) -> None:
    namespace = deployed.namespace
    kube = deployed.kube

    def left() -> list[str]:
        """Objects in the namespace, the namespace, and volumes that were claimed from it."""
        return [
            f"{item['kind']}/{item['metadata']['name']}"
            for item in kube.everything()
            if namespace
            in (
                item["metadata"].get("namespace"),
                item["metadata"]["name"],
                ((item.get("spec") or {}).get("claimRef") or {}).get("namespace"),
            )
        ]

    assert any(name.startswith("PersistentVolume/") for name in left())

    deployed.stack.destroy()

    # A volume is removed by its provisioner, after the claim is gone.
    wait_until("nothing is left", lambda: not left(), seconds=60)
    assert namespace not in deployed.state_file()
