"""Whatever comes from outside is read, or refused in the documented way: no bytes raise anything else.

The bodies of predict requests have suites of their own, beside their readers and in tests/fuzz.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fuzz.targets import TARGETS
from secure_ml_api.audit.exported import lines_of, read_start
from secure_ml_api.auth.claims import Claims, Expected, check_claims
from secure_ml_api.auth.client_authentication import claimed_client, read_credentials, read_form
from secure_ml_api.auth.oauth_error import OAuthError
from secure_ml_api.auth.outside import read_key_set
from secure_ml_api.auth.policy import is_scope, parse_scopes
from secure_ml_api.errors import HomeError, MalformedHeader, OperatorError, PackageRefused, SettingsError, TokenRefused
from secure_ml_api.inference.deadline import Deadline
from secure_ml_api.models.aliases import read_aliases
from secure_ml_api.models.names import ALIASES_FILE, is_plain
from secure_ml_api.quota.addresses import address_subject
from secure_ml_api.quota.rates import parse_rate
from secure_ml_api.settings import SECTIONS, Settings, read_settings
from secure_ml_api.telemetry.request_ids import request_id_from

T = TypeVar("T")
NESTED = b"[" * 3000  # three times as deep as Python goes
HUGE = b"9" * 5000
ONE_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

texts = st.text(max_size=40)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


def read(reader: Callable[[], T], *refusals: type[Exception]) -> T | None:
    """What ``reader`` gives, None when it raises one of ``refusals``; anything else fails the test."""
    try:
        return reader()
    except refusals:
        return None


# Headers


@given(
    st.sampled_from(["Bearer ", "bearer ", "Basic ", ""]), texts | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.A")
)
def test_any_authorization_is_refused_or_read_as_others_read_it(scheme: str, rest: str) -> None:
    TARGETS["token"]((scheme + rest).encode("utf-8"))


@given(texts | st.from_regex(r"[A-Za-z0-9._-]{1,70}"))
def test_any_request_id_is_taken_or_replaced_by_one_that_no_log_can_be_hurt_with(header: str) -> None:
    found = request_id_from(header)
    assert 1 <= len(found) <= 64
    assert found.isascii()
    assert all(character.isalnum() or character in "._-" for character in found)


@given(texts | st.from_regex(r"[0-9]{1,12}(\.[0-9]{0,12})?") | st.floats().map(str))
def test_any_request_timeout_is_refused_or_only_shortens_the_deadline(header: str) -> None:
    arrived_at = time.monotonic()
    latest = Deadline(arrived_at + 30)
    found = read(lambda: latest.within(header, arrived_at), MalformedHeader)
    assert found is None or arrived_at <= found.at <= latest.at


@given(texts | st.ip_addresses().map(str))
def test_any_address_is_counted_under_one_subject(address: str) -> None:
    subject = address_subject(address)
    assert subject.startswith("address:")
    assert subject.isprintable()


# Tokens and what clients say of themselves


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "iss": st.just("https://here") | json_values,
            "aud": st.just("us") | st.lists(st.just("us") | texts) | json_values,
            **dict.fromkeys(("sub", "client_id", "jti"), texts | json_values),
            **dict.fromkeys(("iat", "exp", "nbf"), st.integers(900, 1100) | st.floats() | json_values),
            "scope": texts | json_values,
            "type": st.just("access") | json_values,
        },
    ),
    st.booleans(),
)
def test_any_claims_are_refused_or_are_a_live_token_of_the_issuer(claims: dict[str, Any], in_list: bool) -> None:
    expected = Expected("https://here", "us", 10, audience_in_list=in_list)
    found = read(lambda: check_claims(claims, expected, now=1000), TokenRefused)
    if found is not None:
        assert isinstance(found, Claims)
        assert (found.issuer, found.audience) == ("https://here", "us")
        assert found.issued_at <= 1010
        assert found.expires_at > 989
        assert all(isinstance(scope, str) for scope in found.scopes)


@given(
    st.lists(st.tuples(st.sampled_from(["client_id", "client_secret", "scope", "x"]), texts), max_size=5),
    st.none() | texts,
)
@example([("client_id", "a")], "Basic " + "YTpi" * 10_000)
def test_any_form_and_header_are_credentials_or_an_oauth_error(
    pairs: list[tuple[str, str]], header: str | None
) -> None:
    form = read(lambda: read_form(pairs), OAuthError)
    if form is not None:
        read(lambda: read_credentials(form, header), OAuthError)
    assert len(claimed_client(dict(pairs).get("client_id"), header)) <= 200


@given(st.lists(texts | st.from_regex(r"predict:[A-Za-z0-9.]{0,5}", fullmatch=True), max_size=4))
def test_any_scopes_are_refused_unless_all_of_them_are_known(names: list[str]) -> None:
    found = read(lambda: parse_scopes(names), OperatorError)
    assert (found is None) == (not names or not all(map(is_scope, names)))


_members = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "use", "key_ops", "alg", "d"])
_values = st.sampled_from(
    ["OKP", "EC", "RSA", "Ed25519", "P-256", "AQAB", "sig", "EdDSA", "ES256", "RS256", "k", "A" * 43]
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.dictionaries(_members, _values | json_values, max_size=8) | json_values, max_size=3).map(
        lambda keys: json.dumps({"keys": keys}).encode()
    )
    | st.binary(max_size=60)
    | json_values.map(lambda v: json.dumps(v).encode())
)
@example(NESTED)
@example(b'{"keys": ' + NESTED)
@example(b'{"keys": [' + HUGE + b"]}")
@example(b'{"keys": [{"kid": "k", "kty": "OKP", "crv": "Ed25519", "x": 5}]}')
@example(b'{"keys": [{"kid": "k", "kty": "RSA", "n": "AQAB", "e": ""}]}')
@example(b'{"keys": [{"kid": "k", "kty": "EC", "crv": "P-256", "x": "AQAB", "y": null}]}')
def test_any_document_is_a_set_of_keys_or_a_value_error(document: bytes) -> None:
    found = read(lambda: read_key_set(document, ("EdDSA", "ES256", "RS256")), ValueError)
    assert found is None or found


# Files of the home


@ONE_FILE
@given(
    st.binary(max_size=60)
    | texts.map(str.encode)
    | st.dictionaries(
        st.sampled_from(SECTIONS),
        st.dictionaries(st.sampled_from(["url", "port", "address", "requests", "x"]), texts | st.integers()),
        max_size=3,
    ).map(
        lambda tree: "\n".join(
            f"[{section}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
            for section, keys in tree.items()
        ).encode()
    )
)
@example(b"a = " + NESTED)
@example(b"[server]\nport = " + HUGE)
@example(b"[server]\nport = 0x" + HUGE)
@example(b"[" + b"a." * 3000 + b"b]")
@example(b"a = " + b"{a=" * 3000)
@example(b"server = 1979-05-27T07:32:00Z")
def test_any_configuration_is_taken_or_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    found = read(lambda: read_settings(tmp_path, {}), SettingsError)
    assert found is None or isinstance(found, Settings)


@given(
    st.dictionaries(st.sampled_from((*SECTIONS, "x", "")), texts),
    st.sampled_from(["PORT", "url", "", "x", "TRUSTED_PROXIES", "workers"]),
)
def test_any_environment_is_taken_or_refused_by_name(values: dict[str, str], key: str) -> None:
    environ = {f"SECURE_ML_API_{section}__{key}": value for section, value in values.items()}
    found = read(lambda: read_settings(Path("nowhere"), environ), SettingsError)
    assert found is None or isinstance(found, Settings)


@given(texts | st.from_regex(r"[0-9]{1,14}/(second|minute|hour|day)s?"))
def test_any_rate_is_refused_or_grants_something(written: str) -> None:
    found = read(lambda: parse_rate(written), SettingsError)
    assert found is None or (found.limit > 0 and found.window_seconds > 0)


@ONE_FILE
@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
@example(NESTED)
@example(b'{"production": "../.."}')
def test_any_aliases_are_refused_or_name_versions(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ALIASES_FILE).write_bytes(content)
    found = read(lambda: read_aliases(tmp_path), PackageRefused) or {}
    assert all(map(is_plain, [*found, *found.values()]))


@ONE_FILE
@given(
    st.lists(st.binary(max_size=40) | json_values.map(lambda value: json.dumps(value).encode()), max_size=3).map(
        b"\n".join
    )
)
@example(b"{}\n" + NESTED)
@example(b'{}\n{"id": ' + HUGE + b', "hash": ""}')
@example(NESTED)
def test_any_file_of_the_audit_trail_is_refused_or_holds_lines(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "exported.jsonl"
    path.write_bytes(content)
    read(lambda: read_start(path), HomeError)
    read(lambda: list(lines_of(path)), HomeError)


@pytest.mark.parametrize("target", ["compression", "http", "arrow", "binary"])
@given(data=st.binary(max_size=100))
def test_any_bytes_keep_the_promises_of_a_binary_reader(target: str, data: bytes) -> None:
    TARGETS[target](data)
