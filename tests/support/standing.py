"""What still stands, asked of a lodge: tokens as they were issued, why they are refused, and a lost copy."""

from __future__ import annotations

import shutil
import uuid

from secure_ml_api.auth.claims import Claims
from secure_ml_api.errors import TokenRefused
from support.doormen import Lodge


def verified(lodge: Lodge, scopes: str = "predict:iris models:read") -> Claims:
    """The claims of a token that was just issued to the client of ``lodge``."""
    now = 1_000_000_000_000
    settings = lodge.settings.tokens
    return Claims(
        issuer=settings.issuer,
        audience=settings.audience,
        subject=lodge.client.client_id,
        client_id=lodge.client.client_id,
        token_id=str(uuid.uuid4()),
        issued_at=0,
        expires_at=now,
        scopes=frozenset(scopes.split()),
    )


def cause(lodge: Lodge, claims: Claims) -> str | None:
    """Why a verified token is refused; None when it is not."""
    try:
        lodge.authenticator.standing(claims)
    except TokenRefused as refused:
        return refused.cause
    return None


def lose_state(lodge: Lodge) -> None:
    shutil.rmtree(lodge.settings.run_directory)
