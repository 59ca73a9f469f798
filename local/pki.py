"""Certificates of the cluster: one authority for it, one for the API aggregation layer.

They are created once and kept with the state: new ones would invalidate the tokens of running pods and all
written kubeconfigs. In Python this takes 1 s, with openssl scripts it took 4 s.
"""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_DAYS = 3650


@dataclass(frozen=True)
class Identity:
    """A certificate with its key, both as PEM."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def write(self, directory: Path, name: str) -> None:
        """Write `NAME.crt` and `NAME.key`, the key readable by root alone."""
        (directory / f"{name}.crt").write_bytes(
            self.certificate.public_bytes(serialization.Encoding.PEM)
        )
        write_private(directory / f"{name}.key", private_pem(self.key))


@dataclass(frozen=True)
class Leaf:
    """Contents of a component's certificate."""

    name: str
    common_name: str
    organization: str = ""
    hosts: tuple[str, ...] = ()


def leaves(node_name: str, node_ip: str, service_ip: str) -> tuple[Leaf, ...]:
    """Return every certificate that the cluster's own authority signs."""
    kubernetes = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    return (
        Leaf(
            "apiserver",
            "kube-apiserver",
            hosts=(
                *kubernetes,
                "kubernetes.default.svc.cluster.local",
                "localhost",
                service_ip,
                node_ip,
                "127.0.0.1",
            ),
        ),
        Leaf("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Leaf("admin", "kubernetes-admin", "system:masters"),
        Leaf("kube-controller-manager", "system:kube-controller-manager"),
        Leaf("kube-scheduler", "system:kube-scheduler"),
        Leaf("kube-proxy", "system:kube-proxy"),
        Leaf("kubelet", f"system:node:{node_name}", "system:nodes", (node_name, node_ip)),
    )


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key in the format that every Kubernetes program reads."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can ever read."""
    path.touch(mode=0o600)
    path.write_bytes(data)


def authority(common_name: str) -> Identity:
    """Create a self-signed certificate authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
    )
    return Identity(builder.sign(key, hashes.SHA256()), key)


def issue(ca: Identity, leaf: Leaf) -> Identity:
    """Create a component's certificate, valid for clients and servers."""
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)]
    if leaf.organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, leaf.organization))
    builder = (
        _builder(x509.Name(attributes), ca.certificate.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
    )
    if leaf.hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in leaf.hosts])
        builder = builder.add_extension(names, critical=False)
    return Identity(builder.sign(ca.key, hashes.SHA256()), key)


def create(directory: Path, certificates: tuple[Leaf, ...]) -> None:
    """Write all certificates and keys of a cluster, unless they exist."""
    done = directory / "complete"
    if done.exists():
        return
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca = authority("kubernetes-ca")
    ca.write(directory, "ca")
    for leaf in certificates:
        issue(ca, leaf).write(directory, leaf.name)
    front_proxy = authority("front-proxy-ca")
    front_proxy.write(directory, "front-proxy-ca")
    issue(front_proxy, Leaf("front-proxy-client", "front-proxy-client")).write(
        directory, "front-proxy-client"
    )
    service_accounts = ec.generate_private_key(ec.SECP256R1())
    write_private(directory / "sa.key", private_pem(service_accounts))
    (directory / "sa.pub").write_bytes(
        service_accounts.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    done.touch()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Valid since yesterday, so that a clock that is set back a little does not break the cluster.
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
