"""No secret of a Deployment with everything leaves its place, those that the user gives included."""

import pytest

from tests.cluster.component.conftest import Pair
from tests.cluster.secret_checks import Searched, SecretsStayInPlace


class TestPair(SecretsStayInPlace):
    @pytest.fixture
    def searched(self, pair: Pair) -> Searched:
        given = {f"the setting {key}": value for key, value in pair.secrets.items()}
        for deployment in ("airflow3", "airflow2"):
            given[f"the password of {deployment}'s admin"] = pair.login(deployment)[1]
        return Searched(pair, pair.namespace, given, least_pods=14)
