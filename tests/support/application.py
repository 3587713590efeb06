"""The whole application in the test's own process, asked through Flask's test client."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from secure_ml_api.app import create_app, house_of, start_worker, stop_worker
from secure_ml_api.auth.records import ClientRecord
from secure_ml_api.settings import Settings, read_settings

# Out of the way of tests that ask for something else.
_PLENTY = "1000000/minute"
_QUOTAS = dict.fromkeys(
    ("requests", "rows", "address", "failed_authentications", "token_address", "token_client"), _PLENTY
)


class Application:
    """``with Application(home) as application: application.predict("iris", …)``; sections override the settings."""

    def __init__(self, home: Path, **sections: dict[str, Any]) -> None:
        quotas = {**_QUOTAS, **sections.pop("quotas", {})}
        self.settings: Settings = read_settings(home, {}, quotas=quotas, **sections)
        self.app = create_app(self.settings)
        self.house = house_of(self.app)
        self._tokens: dict[tuple[str, ...], str] = {}

    def __enter__(self) -> Self:
        start_worker(self.app, 0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        stop_worker(self.app)
        self.house.stores.database.close()

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def token(self, *scopes: str, **options: Any) -> str:
        """An access token of a client with just these scopes; made once unless ``options`` are given."""
        if scopes in self._tokens and not options:
            return self._tokens[scopes]
        record, secret = self.register(*scopes, **options)
        form = {"grant_type": "client_credentials"}
        token: str = self.client.post("/oauth/token", data=form, auth=(record.client_id, secret)).get_json()[
            "access_token"
        ]
        if not options:
            self._tokens[scopes] = token
        return token

    def register(self, *scopes: str, **options: Any) -> tuple[ClientRecord, str]:
        """A new client with just these scopes, and its secret."""
        name = f"client-{len(self.house.stores.clients.list())}"
        return self.house.stores.clients.create(name, scopes, **options)

    def headers(self, *scopes: str) -> dict[str, str]:
        """The Authorization header of a client with ``scopes``, ``predict:*`` when none are named."""
        return {"Authorization": f"Bearer {self.token(*(scopes or ('predict:*',)))}"}

    def predict(self, model: str, payload: object) -> TestResponse:
        """The rows protocol's answer to ``payload``."""
        return self.client.post(f"/v1/models/{model}/predict", json=payload, headers=self.headers())
