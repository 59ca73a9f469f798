"""No secret of the quickstart leaves its place."""

import pytest

from tests.cluster.conftest import Deployed
from tests.cluster.secret_checks import Searched, SecretsStayInPlace


class TestQuickstart(SecretsStayInPlace):
    @pytest.fixture
    def searched(self, deployed: Deployed) -> Searched:
        return Searched(
            deployed,
            deployed.namespace,
            {"the output admin_password": deployed.outputs["admin_password"]},
            least_pods=8,  # five Airflow processes, database, broker and the release Job
        )
