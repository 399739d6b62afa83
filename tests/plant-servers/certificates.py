"""Makes certificates: `certificates.py ca DIR`, `certificates.py server DIR CA_DIR`, `certificates.py opcua DIR`.

DIR gets certificate.pem, certificate.der and key.pem.
"""

import ipaddress
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

kind, directory, *rest = sys.argv[1:]
directory = Path(directory)
directory.mkdir(parents=True, exist_ok=True)
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Test {kind}")])
issuer, signing_key = name, key
if rest:
    issuer_dir = Path(rest[0])
    issuer = x509.load_pem_x509_certificate((issuer_dir / "certificate.pem").read_bytes()).subject
    signing_key = load_pem_private_key((issuer_dir / "key.pem").read_bytes(), None)
now = datetime.now(timezone.utc)
names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
if kind == "opcua":
    names.insert(0, x509.UniformResourceIdentifier("urn:plant.example:server"))
usage = {
    "digital_signature": True, "content_commitment": True, "key_encipherment": True, "data_encipherment": True,
    "key_agreement": False, "key_cert_sign": kind != "server", "crl_sign": False, "encipher_only": False,
    "decipher_only": False,
}
builder = (
    x509.CertificateBuilder()
    .subject_name(name)
    .issuer_name(issuer)
    .public_key(key.public_key())
    .serial_number(x509.random_serial_number())
    .not_valid_before(now - timedelta(days=1))
    .not_valid_after(now + timedelta(days=30))
    .add_extension(x509.BasicConstraints(ca=kind == "ca", path_length=None), critical=True)
    .add_extension(x509.KeyUsage(**usage), critical=True)
    .add_extension(x509.SubjectAlternativeName(names), critical=False)
    .add_extension(
        x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH]),
        critical=False,
    )
)
certificate = builder.sign(signing_key, hashes.SHA256())
(directory / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
(directory / "certificate.der").write_bytes(certificate.public_bytes(Encoding.DER))
(directory / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
print(certificate.fingerprint(hashes.SHA256()).hex())
