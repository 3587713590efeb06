"""Signatures bent in the ways of the Wycheproof project's vectors: none but the signer's own is taken.

Each case starts from a good signature, or from the numbers behind it, and changes one thing that a careless
implementation lets pass.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from secure_ml_api.errors import TokenRefused
from support.doormen import Lodge, open_lodge
from support.forging import encoded, good_claims, good_header, server_key, signature

# The orders of the groups: Ed25519 (RFC 8032 section 5.1) and P-256 (FIPS 186-5).
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1

Bend = Callable[[bytes], bytes]


def pair(r: int, s: int, size: int = 32) -> bytes:
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def halves(good: bytes) -> tuple[int, int]:
    return int.from_bytes(good[:32], "big"), int.from_bytes(good[32:], "big")


def plus_order(good: bytes) -> bytes:
    """The same point, its number one order higher: another text for the same token, unless it is refused."""
    return good[:32] + (int.from_bytes(good[32:], "little") + ED25519_ORDER).to_bytes(32, "little")


EDDSA: dict[str, Bend] = {
    "S one order higher": plus_order,
    "S of zero": lambda good: good[:32] + bytes(32),
    "R of zero": lambda good: bytes(32) + good[32:],
    "all zeros": lambda good: bytes(64),
    "the neutral point and zero": lambda good: (1).to_bytes(32, "little") + bytes(32),
    "all ones": lambda good: b"\xff" * 64,
    "the sign of R turned": lambda good: good[:31] + bytes([good[31] ^ 0x80]) + good[32:],
    "a bit of S turned": lambda good: good[:-1] + bytes([good[-1] ^ 1]),
    "one byte short": lambda good: good[:-1],
    "one byte long": lambda good: good + b"\x00",
    "half": lambda good: good[:32],
    "twice": lambda good: good * 2,
    "the halves swapped": lambda good: good[32:] + good[:32],
    "one byte": lambda good: b"\x00",
}

ES256: dict[str, Bend] = {
    "r and s of zero": lambda good: bytes(64),
    "r of zero": lambda good: bytes(32) + good[32:],
    "s of zero": lambda good: good[:32] + bytes(32),
    "r and s of one": lambda good: pair(1, 1),
    "r the order": lambda good: pair(P256_ORDER, halves(good)[1]),
    "s the order": lambda good: pair(halves(good)[0], P256_ORDER),
    "both the order": lambda good: pair(P256_ORDER, P256_ORDER),
    "both the prime": lambda good: pair(P256_PRIME, P256_PRIME),
    "r the order plus one, s one": lambda good: pair(P256_ORDER + 1, 1),
    "r one order higher": lambda good: pair(halves(good)[0] + P256_ORDER, halves(good)[1], 33),
    "padded to 66 bytes": lambda good: pair(*halves(good), 33),
    "all ones": lambda good: b"\xff" * 64,
    "DER": lambda good: encode_dss_signature(*halves(good)),
    "DER with bytes behind it": lambda good: encode_dss_signature(*halves(good)) + b"\x00",
    "one byte short": lambda good: good[:-1],
    "one byte long": lambda good: good + b"\x00",
    "the halves swapped": lambda good: good[32:] + good[:32],
    "half": lambda good: good[:32],
}


def refused(lodge: Lodge, token: str) -> str:
    """The cause for which ``token`` is refused."""
    with pytest.raises(TokenRefused) as caught:
        lodge.authenticator.authenticate(f"Bearer {token}")
    return caught.value.cause


def opened(tmp_path_factory: pytest.TempPathFactory, algorithm: str) -> Lodge:
    return open_lodge(Path(tmp_path_factory.mktemp(algorithm)), tokens={"algorithm": algorithm})


@pytest.fixture(scope="module")
def lodges(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Lodge]:
    return {algorithm: opened(tmp_path_factory, algorithm) for algorithm in ("EdDSA", "ES256", "RS256")}


def unsigned(lodge: Lodge) -> str:
    return f"{encoded(good_header(lodge))}.{encoded(good_claims(lodge))}"


def bent(lodge: Lodge, bend: Bend) -> str:
    """A token that was good before ``bend`` was applied to its signature."""
    text = unsigned(lodge)
    good = signature(text.encode(), server_key(lodge))
    assert lodge.authenticator.authenticate(f"Bearer {text}.{encoded(good)}").client_id == lodge.client.client_id
    assert bend(good) != good
    return f"{text}.{encoded(bend(good))}"


@pytest.mark.parametrize("bend", EDDSA.values(), ids=EDDSA.keys())
def test_bent_eddsa_signature_is_refused(lodges: dict[str, Lodge], bend: Bend) -> None:
    assert refused(lodges["EdDSA"], bent(lodges["EdDSA"], bend)) == "signature"


@pytest.mark.parametrize("bend", ES256.values(), ids=ES256.keys())
def test_bent_ecdsa_signature_is_refused(lodges: dict[str, Lodge], bend: Bend) -> None:
    assert refused(lodges["ES256"], bent(lodges["ES256"], bend)) == "signature"


def test_the_other_signature_of_an_ecdsa_pair_makes_no_second_token(lodges: dict[str, Lodge]) -> None:
    """(r, n − s) verifies like (r, s) and JWS does not forbid it, so what is revoked is the ``jti``, not the text."""
    lodge = lodges["ES256"]
    text = unsigned(lodge)
    r, s = halves(signature(text.encode(), server_key(lodge)))
    first, twin = (f"{text}.{encoded(pair(r, number))}" for number in (s, P256_ORDER - s))
    lodge.authenticator.authenticate(f"Bearer {twin}")
    lodge.oauth.revoke([("token", first)], lodge.basic(), None)
    for token in (first, twin):
        assert refused(lodge, token) == "revoked"


def rsa_key(lodge: Lodge) -> rsa.RSAPrivateKey:
    key = server_key(lodge)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def raw_rsa(key: rsa.RSAPrivateKey, block: bytes) -> bytes:
    """The RSA signature whose padded block is exactly ``block``: what only a holder of the key can make."""
    numbers = key.private_numbers()
    modulus = numbers.public_numbers.n
    raised: int = pow(int.from_bytes(block, "big"), numbers.d, modulus)
    return raised.to_bytes(modulus.bit_length() // 8, "big")


def padded(digest: bytes, size: int, **changed: bytes) -> bytes:
    """The block of EMSA-PKCS1-v1_5 (RFC 8017 section 9.2) for a SHA-256 ``digest``, with parts of it changed."""
    info = changed.get("info", bytes.fromhex("3031300d060960864801650304020105000420")) + digest
    tail = changed.get("tail", b"")
    filling = changed.get("filling", b"\xff") * (size - 3 - len(info) - len(tail))
    return b"\x00" + changed.get("kind", b"\x01") + filling + changed.get("end", b"\x00") + info + tail


RSA_BLOCKS: dict[str, dict[str, bytes]] = {
    "no NULL in the algorithm": {"info": bytes.fromhex("302f300b0609608648016503040201") + b"\x04\x20"},
    "another hash named": {"info": bytes.fromhex("3031300d060960864801650304020305000420")},
    "bytes behind the digest": {"tail": bytes(16)},
    "a type of encryption": {"kind": b"\x02"},
    "a type of zero": {"kind": b"\x00"},
    "a filling that is no filling": {"filling": b"\xfe"},
    "no end of the filling": {"end": b"\xff"},
    "no algorithm at all": {"info": b""},
    "a long form of the length": {"info": bytes.fromhex("308131300d060960864801650304020105000420")},
}


@pytest.mark.parametrize("changed", RSA_BLOCKS.values(), ids=RSA_BLOCKS.keys())
def test_rsa_padding_is_compared_whole(lodges: dict[str, Lodge], changed: dict[str, bytes]) -> None:
    lodge = lodges["RS256"]
    key, text = rsa_key(lodge), unsigned(lodge)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(text.encode())
    summed, size = digest.finalize(), key.key_size // 8
    # The same machinery makes a good signature from an unchanged block: it is the change that is refused.
    assert raw_rsa(key, padded(summed, size)) == signature(text.encode(), key)
    assert refused(lodge, f"{text}.{encoded(raw_rsa(key, padded(summed, size, **changed)))}") == "signature"


RSA_BENDS: dict[str, Callable[[bytes, int], bytes]] = {
    "zero": lambda good, modulus: bytes(len(good)),
    "one": lambda good, modulus: (1).to_bytes(len(good), "big"),
    "the modulus less one": lambda good, modulus: (modulus - 1).to_bytes(len(good), "big"),
    "the modulus": lambda good, modulus: modulus.to_bytes(len(good), "big"),
    "one modulus higher": lambda good, modulus: (int.from_bytes(good, "big") + modulus).to_bytes(len(good) + 1, "big"),
    "a zero in front": lambda good, modulus: b"\x00" + good,
    "a zero behind": lambda good, modulus: good + b"\x00",
    "one byte short": lambda good, modulus: good[:-1],
    "one byte": lambda good, modulus: b"\x02",
}


@pytest.mark.parametrize("bend", RSA_BENDS.values(), ids=RSA_BENDS.keys())
def test_bent_rsa_signature_is_refused(lodges: dict[str, Lodge], bend: Callable[[bytes, int], bytes]) -> None:
    lodge = lodges["RS256"]
    modulus = rsa_key(lodge).public_key().public_numbers().n
    assert refused(lodge, bent(lodge, lambda good: bend(good, modulus))) == "signature"


@pytest.mark.parametrize("hash_", [hashes.SHA224(), hashes.SHA384(), hashes.SHA512()], ids=lambda hash_: hash_.name)
def test_rsa_signature_over_another_hash_is_refused(lodges: dict[str, Lodge], hash_: hashes.HashAlgorithm) -> None:
    lodge = lodges["RS256"]
    text = unsigned(lodge)
    mark = rsa_key(lodge).sign(text.encode(), padding.PKCS1v15(), hash_)
    assert refused(lodge, f"{text}.{encoded(mark)}") == "signature"


def test_pss_is_not_what_rs256_means(lodges: dict[str, Lodge]) -> None:
    lodge = lodges["RS256"]
    text = unsigned(lodge)
    salted = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    assert (
        refused(lodge, f"{text}.{encoded(rsa_key(lodge).sign(text.encode(), salted, hashes.SHA256()))}") == "signature"
    )


def test_ecdsa_over_another_curve_or_hash_is_refused(lodges: dict[str, Lodge]) -> None:
    lodge = lodges["ES256"]
    key, text = server_key(lodge), unsigned(lodge)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    other = ec.generate_private_key(ec.SECP384R1()).sign(text.encode(), ec.ECDSA(hashes.SHA256()))
    assert refused(lodge, f"{text}.{encoded(other[:64])}") == "signature"
    longer = key.sign(text.encode(), ec.ECDSA(hashes.SHA512()))
    assert refused(lodge, f"{text}.{encoded(longer)}") == "signature"


def test_signature_over_a_text_that_only_looks_like_the_token_is_refused(lodges: dict[str, Lodge]) -> None:
    """The signature covers the bytes as they came: not the parsed JSON, not another base64 of it."""
    lodge = lodges["EdDSA"]
    key = server_key(lodge)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    head, claims = unsigned(lodge).split(".")
    for said in (f"{head}.{claims}=", f"{head}{claims}", f".{head}.{claims}", f"{claims}.{head}", claims):
        assert refused(lodge, f"{head}.{claims}.{encoded(key.sign(said.encode()))}") == "signature"
