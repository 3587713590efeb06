"""Key pairs of the three algorithms, as PEM and as JWK."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt import PyJWK
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ALGORITHMS = ("EdDSA", "ES256", "RS256")
RSA_BITS = 3072

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

# The members of a public JWK that RFC 7638 takes for a thumbprint.
_THUMBPRINT_MEMBERS = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}


def generate(algorithm: str) -> PrivateKey:
    """A new private key for ``algorithm``, one of ALGORITHMS."""
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    raise ValueError(f"not one of {ALGORITHMS}: {algorithm}")


def to_pem(key: PrivateKey) -> bytes:
    """PKCS #8, not encrypted: the file's mode protects it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def from_pem(content: bytes) -> PrivateKey:
    """The private key in ``content``; raises ValueError when it is none of the three kinds."""
    key = load_pem_private_key(content, password=None)
    if not isinstance(key, PrivateKey):
        raise ValueError("the key is of a kind that signs no tokens here")  # noqa: TRY004  # one error for all bad files
    return key


def public_jwk(key: PrivateKey) -> dict[str, Any]:
    """The public half as a JWK: ``kty`` and its members, nothing else."""
    return {name: value for name, value in _jwk(key.public_key()).items() if name != "key_ops"}


def signing_jwk(key: PrivateKey, algorithm: str) -> PyJWK:
    """The private key, bound to ``algorithm``."""
    return PyJWK(_jwk(key), algorithm)


def verifying_jwk(jwk: Mapping[str, Any], algorithm: str) -> PyJWK:
    """The public key in ``jwk``, bound to ``algorithm``: whatever a token's header says, no other is used.

    Raises jwt.PyJWTError when the key does not fit the algorithm.
    """
    return PyJWK({name: value for name, value in jwk.items() if name not in {"alg", "use", "key_ops"}}, algorithm)


def key_id(jwk: Mapping[str, Any]) -> str:
    """The first 128 bits of the thumbprint of RFC 7638, as 32 hex digits."""
    members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:32]


def _jwk(key: Any) -> dict[str, Any]:
    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return dict(OKPAlgorithm.to_jwk(key, as_dict=True))
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return dict(ECAlgorithm.to_jwk(key, as_dict=True))
    return dict(RSAAlgorithm.to_jwk(key, as_dict=True))
