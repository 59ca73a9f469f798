"""The cluster's configuration: what must hold for it to start, and to be closed to others."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import config
from local.paths import Paths


@pytest.fixture
def facts(tmp_path: Path) -> config.Facts:
    return config.Facts(
        paths=Paths(state=Path("/state"), cache=tmp_path),
        binaries=Path("/programs"),
        mtu=1400,
        nameservers=("192.0.2.53",),
        pause_image="localhost:5000/pause:1",
        coredns_image="localhost:5000/coredns:1",
        helper_image="localhost:5000/base:bookworm",
    )


def flag(command: list[str], name: str) -> str:
    values = [part.partition("=")[2] for part in command if part.startswith(f"--{name}=")]
    assert len(values) == 1, f"--{name} is given {len(values)} times"
    return values[0]


def kinds(manifests: list[config.Manifest], kind: str) -> list[dict[str, Any]]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


class TestContainerd:
    def test_speaks_plain_http_to_our_registry_alone(self, facts: config.Facts) -> None:
        files = config.files(facts)
        hosts = [path for path in files if path.name == "hosts.toml"]
        assert [path.parent.name for path in hosts] == ["localhost:5000"]
        parsed = tomllib.loads(files[hosts[0]])
        assert list(parsed["host"]) == ["http://localhost:5000"]


class TestListeningAddresses:
    def test_no_server_listens_on_every_interface(self, facts: config.Facts) -> None:
        text = "\n".join(
            [
                *config.files(facts).values(),
                config.registry_config(facts.paths),
                *config.etcd_command(facts),
                *config.apiserver_command(facts),
                *config.controller_manager_command(facts),
                *config.scheduler_command(facts),
            ]
        )
        assert "0.0.0.0:" not in text
        assert "=0.0.0.0" not in text

    def test_etcd_listens_on_loopback_only(self, facts: config.Facts) -> None:
        command = config.etcd_command(facts)
        for name in ("listen-client-urls", "listen-peer-urls"):
            assert flag(command, name).startswith("http://127.0.0.1:")

    def test_registry_listens_on_loopback_only(self, facts: config.Facts) -> None:
        parsed = yaml.safe_load(config.registry_config(facts.paths))
        assert parsed["http"]["addr"] == "127.0.0.1:5000"

    def test_apiserver_and_kubelet_listen_on_the_private_bridge(self, facts: config.Facts) -> None:
        kubelet = yaml.safe_load(config.kubelet_config(facts))
        assert flag(config.apiserver_command(facts), "bind-address") == config.NODE_IP
        assert kubelet["address"] == config.NODE_IP
        assert kubelet["readOnlyPort"] == 0
        assert kubelet["authentication"]["anonymous"]["enabled"] is False


class TestPodNetwork:
    def test_packets_fit_the_way_out(self, facts: config.Facts) -> None:
        plugins = json.loads(config.cni_config(facts))["plugins"]
        assert plugins[0]["mtu"] == 1400
        assert flag(config.dockerd_command(facts.paths, "dockerd", 1400), "mtu") == "1400"

    def test_forwarding_survives_dockers_drop_policy(self, facts: config.Facts) -> None:
        plugins = [plugin["type"] for plugin in json.loads(config.cni_config(facts))["plugins"]]
        assert "firewall" in plugins


class TestCoreDns:
    def corefile(self, manifests: list[config.Manifest]) -> str:
        return str(kinds(manifests, "ConfigMap")[0]["data"]["Corefile"])

    def test_forwards_other_names_to_this_machines_servers(self, facts: config.Facts) -> None:
        assert "forward . 192.0.2.53\n" in self.corefile(config.coredns(facts))

    def test_without_a_server_other_names_fail_at_once(self, facts: config.Facts) -> None:
        closed = config.Facts(**(vars(facts) | {"nameservers": ()}))
        assert "forward" not in self.corefile(config.coredns(closed))

    def test_every_plugin_is_compiled_in(self, facts: config.Facts) -> None:
        main = (Path(config.__file__).parent / "coredns" / "main.go").read_text()
        lines = self.corefile(config.coredns(facts)).splitlines()
        plugins = {line.split()[0] for line in lines if line.startswith("    ") and line[4] != " "}
        for plugin in plugins - {"}"}:
            assert f'coredns/plugin/{plugin}"' in main

    def test_answers_where_the_kubelet_sends_pods(self, facts: config.Facts) -> None:
        service = kinds(config.coredns(facts), "Service")[0]
        kubelet = yaml.safe_load(config.kubelet_config(facts))
        assert kubelet["clusterDNS"] == [service["spec"]["clusterIP"]]


class TestNameservers:
    def test_leaves_out_those_on_loopback(self) -> None:
        text = "search a.example\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver ::1\n"
        assert config.nameservers(text) == ("192.0.2.1",)

    def test_of_an_empty_file_are_none(self) -> None:
        assert config.nameservers("# nothing\n\nnameserver\n") == ()


def test_flags_are_written_as_go_reads_them() -> None:
    assert config.flags({"a": True, "b": 3, "c": Path("/x")}) == ["--a=true", "--b=3", "--c=/x"]


def test_kubeconfig_needs_no_other_file() -> None:
    parsed = yaml.safe_load(config.kubeconfig("https://h:1", b"ca", b"crt", b"key", "ctx"))
    assert parsed["current-context"] == "ctx"
    assert parsed["clusters"][0]["cluster"]["certificate-authority-data"] == "Y2E="
    assert set(parsed["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
