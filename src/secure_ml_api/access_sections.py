"""The sections of the settings about who may ask, and how much."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .setting_sections import Count, Rate, Seconds, Section


class OutsideIssuer(Section):
    issuer: str
    """Exact ``iss`` of its tokens."""
    audience: str
    """Exact ``aud`` that its tokens must carry."""
    jwks: str
    """Where its keys are: a file path or an ``https://`` URL; never taken from a token."""
    algorithms: tuple[Literal["EdDSA", "ES256", "RS256"], ...] = ("RS256",)
    """Algorithms accepted from it."""
    refresh_seconds: Seconds = 300.0
    """How often its keys are read again, in the background."""
    scope_claim: str = "scope"
    """Claim that carries the scopes, as one string or a list."""
    requests: Rate = "600/minute"
    """Request quota of each of its subjects."""
    rows: Rate = "100000/minute"
    """Row quota of each of its subjects."""
    concurrency: Count = 64
    """Requests in flight of each of its subjects."""


class TokensSettings(Section):
    issuer: Annotated[str, Field(min_length=1)] = "https://secure-ml-api.local"
    """``iss`` of the tokens signed here."""
    audience: Annotated[str, Field(min_length=1)] = "secure-ml-api"
    """``aud`` of the tokens signed here, and the one that is required."""
    lifetime_seconds: Annotated[int, Field(ge=30, le=86400)] = 900
    """Life of an access token."""
    leeway_seconds: Annotated[int, Field(ge=0, le=60)] = 10
    """Clock difference that ``exp``, ``nbf`` and ``iat`` are forgiven."""
    algorithm: Literal["EdDSA", "ES256", "RS256"] = "EdDSA"
    """Algorithm of the next signing key; keys that exist keep theirs."""
    bind_to_certificates: bool = False
    """Whether a token that is asked for over a connection with a client certificate is good with that certificate only
    (RFC 8705). Such a token's signature is checked with every request. Needs ``server.tls_client_certificates``."""
    hashing_concurrency: Count = 2
    """Argon2 computations at once per worker; each takes 46 MiB and some 40 ms of one CPU."""
    outside_issuers: tuple[OutsideIssuer, ...] = ()
    """OpenID Connect providers whose access tokens are accepted too (``[[tokens.outside_issuers]]``)."""


class QuotasSettings(Section):
    requests: Rate = "600/minute"
    """Request quota of a client that is created without one."""
    rows: Rate = "100000/minute"
    """Row quota of a client that is created without one."""
    concurrency: Count = 64
    """Requests in flight, on one machine, of a client that is created without a number."""
    address: Rate = "300/minute"
    """Requests without a token that one address may send to the public routes (health checks are not counted)."""
    failed_authentications: Rate = "60/minute"
    """Refused tokens after which an address gets 429 before any signature is checked."""
    token_address: Rate = "60/minute"
    """Calls of the token endpoints that one address may make."""
    token_client: Rate = "60/minute"
    """Calls of the token endpoints that one address may make in the name of one client."""
    on_storage_error: Literal["local", "refuse"] = "local"
    """When the counters cannot be reached: count per worker in memory (``local``), or answer 503 (``refuse``)."""
