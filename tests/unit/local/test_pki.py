"""Certificates: signed by the right authority, for the right names, with private keys."""

import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local import pki


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    pki.create(directory, pki.leaves("node1", "10.250.0.1", "10.96.0.1"))
    return directory


def certificate(directory: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / f"{name}.crt").read_bytes())


@pytest.mark.parametrize(
    "leaf", pki.leaves("node1", "10.250.0.1", "10.96.0.1"), ids=lambda x: x.name
)
def test_components_are_signed_by_the_clusters_authority(directory: Path, leaf: pki.Leaf) -> None:
    found = certificate(directory, leaf.name)
    found.verify_directly_issued_by(certificate(directory, "ca"))
    names = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert [name.value for name in names] == [leaf.common_name]


def test_aggregation_layer_has_an_authority_of_its_own(directory: Path) -> None:
    client = certificate(directory, "front-proxy-client")
    client.verify_directly_issued_by(certificate(directory, "front-proxy-ca"))
    with pytest.raises(ValueError):
        client.verify_directly_issued_by(certificate(directory, "ca"))


def test_api_server_is_known_by_its_addresses_and_names(directory: Path) -> None:
    names = (
        certificate(directory, "apiserver")
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    addresses = names.get_values_for_type(x509.IPAddress)
    assert {ipaddress.ip_address("10.96.0.1"), ipaddress.ip_address("10.250.0.1")} <= set(addresses)
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)


def test_node_is_a_member_of_the_nodes(directory: Path) -> None:
    subject = certificate(directory, "kubelet").subject.rfc4514_string()
    assert "CN=system:node:node1" in subject
    assert "O=system:nodes" in subject


def test_leaves_cannot_sign(directory: Path) -> None:
    extensions = certificate(directory, "admin").extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.CLIENT_AUTH in usages


def test_only_the_owner_reads_keys(directory: Path) -> None:
    keys = list(directory.glob("*.key"))
    assert keys
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}


def test_are_made_once(directory: Path) -> None:
    before = (directory / "ca.crt").read_bytes()
    pki.create(directory, pki.leaves("node1", "10.250.0.1", "10.96.0.1"))
    assert (directory / "ca.crt").read_bytes() == before
