"""Attacks on a token's algorithm and signature (RFC 8725 sections 2.1, 2.2, 3.1, 3.2)."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from secure_ml_api.auth import key_material
from secure_ml_api.errors import TokenRefused
from support.doormen import Lodge, open_lodge
from support.forging import encoded, good_claims, good_header, server_key, signature, signed, signed_with_hmac


def refused(lodge: Lodge, token: str) -> str:
    """The cause for which ``token`` is refused."""
    with pytest.raises(TokenRefused) as caught:
        lodge.authenticator.authenticate(f"Bearer {token}")
    return caught.value.cause


def test_the_token_that_the_attacks_start_from_is_good(lodge: Lodge) -> None:
    token = signed(good_header(lodge), good_claims(lodge), server_key(lodge))
    assert lodge.authenticator.authenticate(f"Bearer {token}").client_id == lodge.client.client_id


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
def test_token_signed_with_none_is_refused(lodge: Lodge, name: str) -> None:
    unsigned = f"{encoded(good_header(lodge) | {'alg': name})}.{encoded(good_claims(lodge))}"
    assert refused(lodge, f"{unsigned}.") == "malformed"
    assert refused(lodge, f"{unsigned}.{encoded('x')}") == "algorithm"


def test_token_of_two_parts_is_refused(lodge: Lodge) -> None:
    assert refused(lodge, f"{encoded(good_header(lodge))}.{encoded(good_claims(lodge))}") == "malformed"


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
@pytest.mark.parametrize("name", ["HS256", "HS384", "HS512"])
def test_public_key_taken_for_an_hmac_secret_is_refused(tmp_path: Path, algorithm: str, name: str) -> None:
    lodge = open_lodge(tmp_path, tokens={"algorithm": algorithm})
    public = server_key(lodge).public_key()
    secrets = [public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)]
    secrets.append(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    secrets.append(secrets[0].strip())
    for secret in secrets:
        token = signed_with_hmac(good_header(lodge) | {"alg": name}, good_claims(lodge), secret)
        assert refused(lodge, token) == "algorithm"
        pretending = signed_with_hmac(good_header(lodge), good_claims(lodge), secret)
        assert refused(lodge, pretending) == "signature"
    lodge.stores.trail.flush()


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_forged_signature_by_another_key_of_the_same_kind_is_refused(tmp_path: Path, algorithm: str) -> None:
    lodge = open_lodge(tmp_path, tokens={"algorithm": algorithm})
    token = signed(good_header(lodge), good_claims(lodge), key_material.generate(algorithm))
    assert refused(lodge, token) == "signature"
    lodge.stores.trail.flush()


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_forged_signature_by_a_key_of_another_kind_is_refused(lodge: Lodge, algorithm: str) -> None:
    other = key_material.generate(algorithm)
    assert refused(lodge, signed(good_header(lodge) | {"alg": algorithm}, good_claims(lodge), other)) == "algorithm"
    assert refused(lodge, signed(good_header(lodge), good_claims(lodge), other)) == "signature"


@pytest.mark.parametrize(
    "name", ["eddsa", "EDDSA", "EdDSA ", "Ed25519", "ES256K", "PS256", "RS1", 1, None, ["EdDSA"], {}]
)
def test_algorithm_is_compared_exactly(lodge: Lodge, name: object) -> None:
    token = signed(good_header(lodge) | {"alg": name}, good_claims(lodge), server_key(lodge))
    assert refused(lodge, token) == "algorithm"


def test_changed_claims_break_the_signature(lodge: Lodge) -> None:
    head, _, mark = signed(good_header(lodge), good_claims(lodge), server_key(lodge)).split(".")
    richer = encoded(good_claims(lodge) | {"scope": "models:admin"})
    assert refused(lodge, f"{head}.{richer}.{mark}") == "signature"


def test_ecdsa_signature_of_zeros_is_refused(tmp_path: Path) -> None:
    """CVE-2022-21449: r = s = 0 verifies anything in a broken implementation."""
    lodge = open_lodge(tmp_path, tokens={"algorithm": "ES256"})
    text = f"{encoded(good_header(lodge))}.{encoded(good_claims(lodge))}"
    assert refused(lodge, f"{text}.{encoded(bytes(64))}") == "signature"
    lodge.stores.trail.flush()


def test_ecdsa_signature_in_der_is_refused(tmp_path: Path) -> None:
    lodge = open_lodge(tmp_path, tokens={"algorithm": "ES256"})
    text = f"{encoded(good_header(lodge))}.{encoded(good_claims(lodge))}"
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    raw = signature(text.encode(), server_key(lodge))
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    assert refused(lodge, f"{text}.{encoded(der)}") == "signature"
    lodge.stores.trail.flush()


def test_signature_with_loose_bits_at_its_end_is_refused(lodge: Lodge) -> None:
    """64 bytes leave four unused bits in the last character: only one spelling of a token is a token."""
    token = signed(good_header(lodge), good_claims(lodge), server_key(lodge))
    assert token[-1] in "AQgw"
    assert refused(lodge, token[:-1] + chr(ord(token[-1]) + 1)) == "malformed"
