"""An OpenID Connect provider: its name, its key, and the key set that it publishes."""

from __future__ import annotations

import json
from typing import Any

from secure_ml_api.auth import key_material

ISSUER = "https://login.example/"
KID = "their-key"
THEIRS = key_material.generate("ES256")


def published(key: key_material.PrivateKey = THEIRS, **members: Any) -> dict[str, Any]:
    """The public JWK of ``key`` with ``members`` changed or, when None, left out."""
    jwk = key_material.public_jwk(key) | {"kid": KID, "use": "sig", "alg": "ES256"} | members
    return {name: value for name, value in jwk.items() if value is not None}


def document(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()
