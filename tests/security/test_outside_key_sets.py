"""Of the key set of an OpenID Connect provider, only keys that are for verifying are used."""

from __future__ import annotations

from typing import Any

import pytest

from secure_ml_api.auth import key_material
from secure_ml_api.auth.outside import read_key_set
from support.outside_issuer import KID, document, published


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"use": ""},
        {"key_ops": ["sign"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"alg": "ES384"},
        {"alg": "RS256"},
        {"alg": "none"},
        {"kid": None},
        {"kid": 1},
        {"kty": "oct"},
        {"kty": "RSA"},
        {"crv": "P-384"},
        {"d": "AAAA"},
        {"x": "AAAA"},
        {"x": None},
    ],
)
def test_key_that_is_not_for_verifying_is_never_used(members: dict[str, Any]) -> None:
    other = published(key_material.generate("ES256"), kid="good")
    assert set(read_key_set(document(published(**members), other), ["ES256"])) == {"good"}


def test_key_for_verifying_says_so_or_says_nothing() -> None:
    for members in ({"key_ops": ["verify"]}, {"use": None, "alg": None}, {"key_ops": ["sign", "verify"]}):
        assert set(read_key_set(document(published(**members)), ["ES256"])) == {KID}


def test_short_rsa_key_is_never_used() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(ValueError, match="no usable key"):
        read_key_set(document(published(weak, alg="RS256")), ["RS256"])


def test_symmetric_key_in_a_key_set_is_never_used() -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": KID, "alg": "HS256"}
    with pytest.raises(ValueError, match="no usable key"):
        read_key_set(document(secret), ["EdDSA", "ES256", "RS256"])


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"keys": 1}', b'{"keys": []}', b'{"keys": [1]}', b"\xff"]
)
def test_document_that_is_no_key_set_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        read_key_set(content, ["ES256"])


def test_two_keys_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        read_key_set(document(published(), published(key_material.generate("ES256"))), ["ES256"])
