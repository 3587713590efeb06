"""Attacks on a token's text: all refused before any cryptography."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from secure_ml_api.errors import TokenMissing, TokenRefused
from support.doormen import Lodge
from support.forging import encoded, good_claims, good_header, server_key, signature, signed


@pytest.fixture(autouse=True)
def no_cryptography(lodge: Lodge, monkeypatch: pytest.MonkeyPatch) -> str:
    """A good token, made before the library's verification is taken away."""
    token = lodge.token()

    def verified(*_: Any, **__: Any) -> None:
        raise AssertionError("a signature was checked")

    monkeypatch.setattr(jwt.PyJWS, "_verify_signature", verified)
    return token


def refused(lodge: Lodge, token: str) -> str:
    """The cause for which ``token`` is refused."""
    with pytest.raises(TokenRefused) as caught:
        lodge.authenticator.authenticate(f"Bearer {token}")
    return caught.value.cause


@pytest.mark.parametrize("header", [None, "", " ", "Basic dXNlcjpwYXNz", "Digest x", "token"])
def test_request_without_a_bearer_token_has_none(lodge: Lodge, header: str | None) -> None:
    with pytest.raises(TokenMissing):
        lodge.authenticator.authenticate(header)


@pytest.mark.parametrize(
    "text", ["", " ", "x", "a.b", "a.b.c.d", "a..c", "..", "a.b.c.d.e", "\x00.\x00.\x00", "é.é.é", "a.b.c\n"]
)
def test_text_that_is_no_token_is_refused(lodge: Lodge, text: str) -> None:
    assert refused(lodge, text) == "malformed"


@pytest.mark.parametrize("character", list("=+/ \t\r\n,;\"'%&\x00\x7f\xa0é"))
def test_character_that_no_token_has_is_refused(lodge: Lodge, no_cryptography: str, character: str) -> None:
    middle = len(no_cryptography) // 2
    for place in (1, middle, len(no_cryptography) - 1):
        assert refused(lodge, no_cryptography[:place] + character + no_cryptography[place:]) == "malformed"


@pytest.mark.parametrize("padding", ["=", "==", "==="])
def test_padded_token_is_refused(lodge: Lodge, no_cryptography: str, padding: str) -> None:
    assert refused(lodge, no_cryptography + padding) == "malformed"
    head, body, mark = no_cryptography.split(".")
    assert refused(lodge, f"{head}{padding}.{body}{padding}.{mark}{padding}") == "malformed"


def test_two_authorization_headers_are_refused(lodge: Lodge, no_cryptography: str) -> None:
    """A server joins them with a comma."""
    for second in (f"Bearer {no_cryptography}", "Basic dXNlcjpwYXNz"):
        assert refused(lodge, f"{no_cryptography}, {second}") == "malformed"
        assert refused(lodge, f"{no_cryptography},{second}") == "malformed"


def test_oversized_token_is_refused(lodge: Lodge) -> None:
    claims = good_claims(lodge) | {"padding": "x" * 9000}
    assert refused(lodge, signed(good_header(lodge), claims, server_key(lodge))) == "oversized"


def test_deeply_nested_token_is_refused(lodge: Lodge) -> None:
    deep = "[" * 3000 + "]" * 1000
    assert refused(lodge, f"{encoded(good_header(lodge))}.{encoded(deep)}.{encoded('x')}") == "malformed"


@pytest.mark.parametrize("name", ["alg", "kid", "typ"])
def test_duplicate_header_name_is_refused(lodge: Lodge, name: str) -> None:
    header = good_header(lodge)
    text = "{" + f'"{name}":{json.dumps(header[name])},' + json.dumps(header)[1:]
    assert refused(lodge, signed(text, good_claims(lodge), server_key(lodge))) == "malformed"


@pytest.mark.parametrize(
    "extra", [{"crit": ["exp"]}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"b64": True}, {"crit": None}]
)
def test_critical_header_is_refused(lodge: Lodge, extra: dict[str, Any]) -> None:
    token = signed(good_header(lodge) | extra, good_claims(lodge), server_key(lodge))
    assert refused(lodge, token) == "critical_header"


@pytest.mark.parametrize("header", ["null", "[]", '"x"', "1", "{", "", "\xff", '{"alg":NaN}', "{'alg':'EdDSA'}"])
def test_header_that_is_no_json_object_is_refused(lodge: Lodge, header: str) -> None:
    raw = header.encode("latin-1")
    text = f"{encoded(raw)}.{encoded(good_claims(lodge))}"
    assert refused(lodge, f"{text}.{encoded(signature(text.encode(), server_key(lodge)))}") == "malformed"


@pytest.mark.parametrize("claims", ["null", "[]", '"x"', "1", "{", '{"exp":NaN}', '{"exp":Infinity}'])
def test_claims_that_are_no_json_object_are_refused(lodge: Lodge, claims: str) -> None:
    assert refused(lodge, signed(good_header(lodge), claims, server_key(lodge))) == "malformed"


def test_encrypted_token_is_refused(lodge: Lodge) -> None:
    header = {"alg": "dir", "enc": "A256GCM", "kid": good_header(lodge)["kid"], "typ": "at+jwt"}
    assert refused(lodge, ".".join([encoded(header), "", "a", "b", "c"])) == "malformed"
