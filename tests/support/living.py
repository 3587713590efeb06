"""A server of four workers with a model whose life is lived, those who ask it and those who decide."""

from __future__ import annotations

from collections import Counter
from typing import Any

from secure_ml_api.inference.trial_files import TrialFiles
from secure_ml_api.models.store import Store
from support.packages import store_in
from support.server import Reply, RunningServer, command_line

WORKERS = 4
TINY = "/v1/models/tiny/predict"
ROW = {"features": [1, 2]}


class Living:
    """A server with two versions of ``tiny``, and those who ask it and who decide."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.store: Store = store_in(server.home)
        self.caller = server.token(server.create_client("caller", "predict:*", rate="9999999/minute"))
        self.operator = server.token(server.create_client("operator", "models:admin"))

    def repository(self, name: str, action: str) -> Reply:
        return self.server.post_json(f"/v2/repository/models/{name}/{action}", {}, self.operator)

    def models(self, *arguments: str) -> None:
        told = command_line(self.server.home, "models", *arguments)
        assert told["workers"] == WORKERS

    def versions(self, times: int = 4 * WORKERS, token: str = "") -> Counter[str]:
        """Who answers, asked on so many connections."""
        replies = [self.server.post_json(TINY, ROW, token or self.caller) for _ in range(times)]
        assert {reply.status for reply in replies} == {200}
        return Counter(reply.json()["version"] for reply in replies)

    def events(self) -> list[dict[str, Any]]:
        """The audit trail."""
        events = command_line(self.server.home, "audit", "list")
        assert isinstance(events, list)
        return events

    def tried(self) -> list[int]:
        """How many requests of a canary each worker has told the others of."""
        files = TrialFiles(self.server.home / "run" / "canaries").read()
        return [trial.tried.requests for _, seen in files for trial in seen]

    def metric(self, name: str, **labels: str) -> float:
        return self.server.metric(f"secure_ml_api_{name}", **labels)
