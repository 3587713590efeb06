"""Authentication put together over a home of the test's own, as the application does it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask

from secure_ml_api.auth.assembly import Stores, open_stores, post_doormen
from secure_ml_api.auth.audit_key import create_audit_key
from secure_ml_api.auth.authenticator import Authenticator
from secure_ml_api.auth.oauth import OAuth
from secure_ml_api.auth.records import ClientRecord
from secure_ml_api.database.migrate import migrate
from secure_ml_api.settings import Settings, read_settings


@dataclass
class Lodge:
    """One home with one client, ``reader``, that may predict with ``iris`` and read the models."""

    settings: Settings
    stores: Stores
    app: Flask
    authenticator: Authenticator
    oauth: OAuth
    client: ClientRecord
    secret: str

    def token(self, scope: str | None = None) -> str:
        """A good access token."""
        form = [("grant_type", "client_credentials")] + ([] if scope is None else [("scope", scope)])
        return str(self.oauth.issue(form, self.basic(), None)["access_token"])

    def basic(self) -> str:
        """The client's Authorization header at the token endpoints."""
        return basic(self.client.client_id, self.secret)


def basic(client_id: str, secret: str) -> str:
    """An Authorization header with these credentials."""
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def open_lodge(home: Path, database_url: str = "", **sections: dict[str, Any]) -> Lodge:
    """A prepared home and what guards it; ``sections`` are settings."""
    if database_url:
        sections["database"] = {"url": database_url} | sections.get("database", {})
    settings = read_settings(home, {}, **sections)
    migrate(settings.database_url)
    stores = open_stores(settings)
    stores.ring.create()
    create_audit_key(settings.keys_directory)
    app = Flask("lodge")
    doormen = post_doormen(app, settings, stores)
    client, secret = stores.clients.create("reader", ["predict:iris", "models:read"])
    return Lodge(settings, stores, app, doormen.authenticator, doormen.oauth, client, secret)
