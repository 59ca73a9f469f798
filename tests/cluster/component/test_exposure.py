"""How people reach the webserver: behind a proxy that speaks HTTPS, below a path, and at a node port.

No Ingress controller runs here. Requests come to the node port with the headers that one adds.
"""

import re

import pytest
import urllib3

from tests.cluster.component.conftest import Pair

HOST, PATH = "airflow.acme.test", "/team"
FORWARDED = {"Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}


@pytest.fixture
def http() -> urllib3.PoolManager:
    return urllib3.PoolManager(retries=urllib3.Retry(3, redirect=False))


def test_the_ingress_leads_to_the_webserver(pair: Pair) -> None:
    ingress = pair.object("Ingress", "airflow3-webserver")["spec"]
    assert ingress["tls"] == [{"hosts": [HOST], "secretName": "airflow-tls"}]
    (rule,) = ingress["rules"]
    (path,) = rule["http"]["paths"]
    assert (rule["host"], path["path"], path["pathType"]) == (HOST, PATH, "Prefix")
    backend = path["backend"]["service"]
    service = pair.object("Service", backend["name"])["spec"]
    assert backend["port"]["name"] in [port["name"] for port in service["ports"]]
    selected = service["selector"].items()
    webservers = [
        pod["metadata"]["name"]
        for pod in pair.kube.all_pods(pair.namespace)
        if selected <= pod["metadata"]["labels"].items()
    ]
    assert webservers
    assert all(name.startswith("airflow3-webserver-") for name in webservers)
    assert pair.outputs["airflow3_webserver_url"] == f"https://{HOST}{PATH}"


def test_airflow3_behind_its_ingress(pair: Pair, http: urllib3.PoolManager) -> None:
    root = f"http://localhost:{pair.node_port('airflow3')}"

    page = http.request("GET", f"{root}{PATH}/", headers=FORWARDED)
    assert page.status == 200
    assert f'<base href="{PATH}/"' in page.data.decode()
    assert http.request("GET", f"{root}{PATH}/static/pin_32.png", headers=FORWARDED).status == 200

    bare = http.request("GET", f"{root}{PATH}", headers=FORWARDED)
    assert bare.headers["Location"] == f"https://{HOST}{PATH}/"
    login = http.request("GET", f"{root}{PATH}/api/v2/auth/login", headers=FORWARDED)
    assert login.headers["Location"].startswith(f"{PATH}/auth/login")
    assert http.request("GET", f"{root}{PATH}/auth/login", headers=FORWARDED).status == 200
    logout = http.request("GET", f"{root}{PATH}/api/v2/auth/logout", headers=FORWARDED)
    cookie = logout.headers["Set-Cookie"]
    assert f"Path={PATH}/" in cookie
    assert "Secure" in cookie
    assert "HttpOnly" in cookie


def test_a_person_logs_in_to_airflow2_below_its_path(pair: Pair, http: urllib3.PoolManager) -> None:
    url = pair.outputs["airflow2_webserver_url"]
    assert url.endswith("/classic")
    home = http.request("GET", f"{url}/home")
    assert home.status == 302
    assert home.headers["Location"].startswith("/classic/login/?next=")

    form = http.request("GET", f"{url}/login/")
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form.data.decode())
    assert token
    cookie = form.headers["Set-Cookie"].partition(";")[0]
    username, password = pair.login("airflow2")
    fields = {"csrf_token": token[1], "username": username, "password": password}
    entered = http.request(
        "POST", f"{url}/login/", fields=fields, headers={"Cookie": cookie}, encode_multipart=False
    )
    assert entered.status == 302
    assert "/classic/" in entered.headers["Location"]
    cookie = entered.headers["Set-Cookie"].partition(";")[0]
    home = http.request("GET", f"{url}/home", headers={"Cookie": cookie})
    assert home.status == 200
    assert "/classic/static/" in home.data.decode()
