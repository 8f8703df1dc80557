import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.cloud_double import ACCESS, SECRET, CloudDouble

from econe.client.session import Session


@pytest.fixture
def cloud() -> Iterator[CloudDouble]:
    double = CloudDouble()
    yield double
    double.close()


@pytest.fixture
def session(cloud: CloudDouble) -> Session:
    return Session(cloud.url, ACCESS, SECRET, environ={}, silence_s=5, answer_s=5)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", path, "-out", f"{path}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[CloudDouble]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificate}.crt", certificate)
    double = CloudDouble(context)
    yield double
    double.close()
