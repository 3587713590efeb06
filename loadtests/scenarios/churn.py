"""Tokens that live for one request: fetched, used, revoked, and refused from then on."""

from __future__ import annotations

from locust import task

from ..callers import Caller, bearer, credentials, fail
from ..rows import row


class ChurnCaller(Caller):
    scenario = "churn"
    pace = 0.5

    @task
    def churn(self) -> None:
        token, _ = self.fetch_token("churn fetch")
        self._predict(token, "churn use", 200)
        self._revoke(token)
        self._predict(token, "churn refused", 401)

    def _predict(self, token: str, name: str, expected: int) -> None:
        body = {"features": row("iris", self.random)}
        with self.client.post(
            "/v1/models/iris/predict", json=body, headers=bearer(token), name=name, catch_response=True
        ) as response:
            if response.status_code == expected:
                response.success()
            else:
                fail(response, f"status {response.status_code} where {expected} is due")

    def _revoke(self, token: str) -> None:
        form = {"token": token, **credentials()}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        with self.client.post(
            "/oauth/revoke", data=form, headers=headers, name="churn revoke", catch_response=True
        ) as response:
            if response.status_code != 200:
                fail(response, f"status {response.status_code}")
