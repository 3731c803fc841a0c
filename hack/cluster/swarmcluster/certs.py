"""Certificates of one cluster: one authority, P-256 keys, made with the openssl command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from swarmcluster.shell import run

DAYS = 3650


@dataclass(frozen=True)
class Certificate:
    """What one certificate says: file name, subject and alternative names."""

    name: str
    common_name: str
    organization: str = ""
    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


def openssl_config(wanted: Certificate, *, authority: bool = False) -> str:
    """Return the openssl request configuration of `wanted`."""
    subject = [f"CN = {wanted.common_name}"]
    if wanted.organization:
        subject.insert(0, f"O = {wanted.organization}")
    names = [f"DNS:{host}" for host in wanted.hosts] + [f"IP:{address}" for address in wanted.addresses]
    extensions = (
        ["basicConstraints = critical,CA:TRUE", "keyUsage = critical,keyCertSign,cRLSign"]
        if authority
        else [
            "basicConstraints = critical,CA:FALSE",
            "keyUsage = critical,digitalSignature",
            "extendedKeyUsage = serverAuth,clientAuth",
        ]
    )
    extensions.append("subjectKeyIdentifier = hash")
    if names:
        extensions.append(f"subjectAltName = {','.join(names)}")
    lines = ["[req]", "prompt = no", "distinguished_name = subject", "x509_extensions = extensions"]
    return "\n".join([*lines, "[subject]", *subject, "[extensions]", *extensions, ""])


def cluster_certificates(node: str, api_addresses: tuple[str, ...], node_address: str) -> list[Certificate]:
    """Return the certificates that the components of one cluster need."""
    service = "kubernetes.default.svc"
    hosts = ("localhost", "kubernetes", "kubernetes.default", service, f"{service}.cluster.local")
    return [
        Certificate("apiserver", "kube-apiserver", hosts=hosts, addresses=api_addresses),
        Certificate("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Certificate("admin", "kubernetes-admin", "system:masters"),
        Certificate("controller-manager", "system:kube-controller-manager"),
        Certificate("scheduler", "system:kube-scheduler"),
        Certificate("kube-proxy", "system:kube-proxy"),
        Certificate(
            "kubelet", f"system:node:{node}", "system:nodes", hosts=(node,), addresses=(node_address,)
        ),
    ]


def make_all(folder: Path, wanted: list[Certificate]) -> None:
    """Make the authority, the service-account key and every certificate that `folder` lacks."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _make(folder, Certificate("ca", "swarmrun-cluster"), authority=True)
    if not (folder / "service-account.key").exists():
        curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        run(["openssl", "genpkey", *curve, "-out", folder / "service-account.key"])
        run(
            [
                "openssl",
                "pkey",
                "-in",
                folder / "service-account.key",
                "-pubout",
                "-out",
                folder / "service-account.pub",
            ]
        )
    for certificate in wanted:
        _make(folder, certificate)


def _make(folder: Path, wanted: Certificate, *, authority: bool = False) -> None:
    crt = folder / f"{wanted.name}.crt"
    if crt.exists():
        return
    config = folder / f"{wanted.name}.cnf"
    config.write_text(openssl_config(wanted, authority=authority))
    key = folder / f"{wanted.name}.key"
    argv: list[str | Path] = [
        "openssl",
        "req",
        "-x509",
        "-new",
        "-nodes",
        "-config",
        config,
        "-days",
        str(DAYS),
    ]
    argv += [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-keyout",
        key,
        "-out",
        crt.with_suffix(".tmp"),
    ]
    if not authority:
        argv += ["-CA", folder / "ca.crt", "-CAkey", folder / "ca.key"]
    run(argv)
    key.chmod(0o600)
    crt.with_suffix(".tmp").rename(crt)
    config.unlink()
