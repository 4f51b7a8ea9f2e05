"""TLS: the server speaks it, and refuses to let credentials travel in clear."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.processes import joiner, serving


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for scim.example.com that nobody has signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "scim.example.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("scim.example.com")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@pytest.mark.req("REQ-S-071")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_server_speaks_tls_and_commands_still_find_it(
    tmp_path: Path, certificate: tuple[Path, Path], version: ssl.TLSVersion
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    settings = f'host = "0.0.0.0"\ntls_certificate = "{certificate[0]}"\ntls_key = "{certificate[1]}"\n'
    (data / "joiner.toml").write_text(settings)
    context = ssl.create_default_context(cafile=str(certificate[0]))
    context.check_hostname = False
    context.maximum_version = version
    with serving(data, "--only", "application") as server:
        assert server.url.startswith("https://127.0.0.1:")
        token = joiner("token", "create", data=data).strip()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=server.url, verify=context, headers=headers, trust_env=False) as http:
            assert http.get("/scim/Users").json()["totalResults"] == 0
            # The same port answers nobody in clear.
            with pytest.raises(httpx.HTTPError):
                httpx.get(f"{server.url.replace('https', 'http')}/scim/Users", headers=headers, trust_env=False)


@pytest.mark.req("REQ-S-071", "REQ-S-009")
def test_behind_a_proxy_locations_are_those_that_clients_reach(tmp_path: Path) -> None:
    settings = 'host = "0.0.0.0"\npublic_url = "https://scim.example.com"\n'
    (tmp_path / "joiner.toml").write_text(settings)
    with serving(tmp_path, "--only", "application") as server:
        headers = {"Authorization": f"Bearer {joiner('token', 'create', data=tmp_path).strip()}"}
        made = httpx.post(f"{server.url}/scim/v2/Users", headers=headers, json={"userName": "kim"}, trust_env=False)
        location = f"https://scim.example.com/scim/v2/Users/{made.json()['id']}"
        assert made.json()["meta"]["location"] == made.headers["location"] == location


@pytest.mark.req("REQ-S-071")
def test_it_does_not_listen_in_clear_where_others_can_connect(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="tls_certificate"):
        joiner("serve", "--host", "0.0.0.0", "--port", "0", data=tmp_path)  # noqa: S104 - it refuses
