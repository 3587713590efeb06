"""Protected by default: what is public is listed, everything else needs a token, and some of it a scope."""

from __future__ import annotations

from flask import Flask, g, request

from ..inference.spine import require
from ..quota.addresses import address_subject
from ..quota.standings import Charge
from .door import Door

# Endpoints that answer without a bearer token. The token endpoints authenticate clients by their secret.
PUBLIC = frozenset(
    {
        "health.live",
        "health.ready",
        "oip.server",
        "oauth.token",
        "oauth.revoke",
        "oauth.introspect",
        "oauth.jwks",
        "oauth.metadata",
        "documents.openapi",
        "documents.docs",
    }
)
# Endpoints that walk the whole spine, which begins with the same steps.
SPINE = frozenset({"rows.predict", "rows.predict_version", "tensorflow.predict", "tensorflow.predict_version"}) | {
    "oip.infer",
    "oip.infer_version",
}
_READ_ONE_MODEL = ("models:read", "predict:{name}", "predict:*")
# Every other endpoint: any one of these scopes opens it; {name} is the model in the address.
SCOPES: dict[str, tuple[str, ...]] = {
    "oip.model": _READ_ONE_MODEL,
    "oip.model_version": _READ_ONE_MODEL,
    "oip.model_ready": _READ_ONE_MODEL,
    "oip.model_version_ready": _READ_ONE_MODEL,
    "repository.index": ("models:admin",),
    "repository.load": ("models:admin",),
    "repository.unload": ("models:admin",),
    "tensorflow.status": _READ_ONE_MODEL,
    "tensorflow.status_version": _READ_ONE_MODEL,
    "tensorflow.metadata": _READ_ONE_MODEL,
    "tensorflow.metadata_version": _READ_ONE_MODEL,
}


def install_guard(app: Flask, door: Door) -> None:
    """Guard every route of ``app``, once all are there; raises RuntimeError for one that nobody decided on."""
    undecided = {rule.endpoint for rule in app.url_map.iter_rules()} - PUBLIC - SPINE - set(SCOPES)
    if undecided:
        raise RuntimeError(f"endpoints that are neither public nor guarded: {sorted(undecided)}")

    @app.before_request
    def guard() -> None:
        endpoint = request.endpoint
        if endpoint is None:  # Flask-Limiter leaves addresses that lead nowhere alone
            charges = (Charge("address", door.services.quotas.address, 1),)
            door.services.limiter.charge(address_subject(g.address), charges)
        if endpoint is None or endpoint in PUBLIC or endpoint in SPINE:
            return
        visit = door.visit()
        for step in door.services.guard:
            step(visit, door.services)
        name = (request.view_args or {}).get("name", "")
        require(visit, door.services, *(scope.format(name=name) for scope in SCOPES[endpoint]))
