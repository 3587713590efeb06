"""Tokens as attackers write them: any header, any claims, any signature, byte by byte."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from secure_ml_api.auth import key_material

from .doormen import Lodge


def encoded(content: bytes | str | dict[str, Any]) -> str:
    """Base64url without padding; a mapping is written as JSON first."""
    if isinstance(content, dict):
        content = json.dumps(content)
    raw = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def good_header(lodge: Lodge) -> dict[str, Any]:
    """The header that the server would write."""
    active = lodge.stores.ring.signing_key()
    return {"alg": active.alg, "kid": active.kid, "typ": "at+jwt"}


def good_claims(lodge: Lodge, now: float | None = None) -> dict[str, Any]:
    """The claims that the server would write."""
    issued = int(time.time() if now is None else now)
    return {
        "iss": lodge.settings.tokens.issuer,
        "aud": lodge.settings.tokens.audience,
        "sub": lodge.client.client_id,
        "client_id": lodge.client.client_id,
        "iat": issued,
        "exp": issued + 900,
        "jti": str(uuid.uuid4()),
        "scope": "predict:iris models:read",
    }


def server_key(lodge: Lodge) -> key_material.PrivateKey:
    """The server's own private key: what these tests sign with is valid but for the one thing they change."""
    kid = lodge.stores.ring.signing_key().kid
    return key_material.from_pem((lodge.settings.keys_directory / f"token-{kid}.pem").read_bytes())


def signed(
    header: bytes | str | dict[str, Any], claims: bytes | str | dict[str, Any], key: key_material.PrivateKey
) -> str:
    """A token of exactly this header and these claims, signed in the way of ``key``'s own kind."""
    text = f"{encoded(header)}.{encoded(claims)}"
    return f"{text}.{encoded(signature(text.encode(), key))}"


def signature(content: bytes, key: key_material.PrivateKey) -> bytes:
    """The JWS signature of ``content``."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(content)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(content, padding.PKCS1v15(), hashes.SHA256())
    r, s = decode_dss_signature(key.sign(content, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signed_with_hmac(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """A token whose signature is an HMAC-SHA256 under ``secret``."""
    text = f"{encoded(header)}.{encoded(claims)}"
    return f"{text}.{encoded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"
