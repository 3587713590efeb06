"""Schemathesis over the application's own OpenAPI document: requests drawn from it, answers held against it.

Its engine is driven directly. The plugin for pytest reaches into parts of pytest that move (and is switched off in
pyproject.toml).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

SEED = 20240229
_TYPED = "predict_"
_MODELS = ("iris", "iris-tree", "housing", "outliers", "cancer-svm")
_CHECKS: dict[str, Any] = {
    # 504 is a documented answer: some requests say that they wait for no time at all.
    "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "504"]},
    # A schema cannot tell which rows fit a model that the path names, or which text is CSV: see good_rows_are_answered.
    "positive_data_acceptance": {"enabled": False},
    # As negative_data_rejection, but for one case: see forbidden_requests_are_refused.
    "negative_data_rejection": {"enabled": False},
    # It asks again without credentials, with an option that the transport for WSGI does not take (4.32). That every
    # guarded route refuses callers without a token is held by the tests of the routes.
    "ignored_auth": {"enabled": False},
}


@schemathesis.check
def good_rows_are_answered(ctx: Any, response: Any, case: Any) -> None:
    """JSON that fits the schema of one model's own rows is answered, as ``positive_data_acceptance`` understands it."""
    if (
        case.operation.definition.raw.get("operationId", "").startswith(_TYPED)
        and case.media_type == "application/json"
    ):
        positive_data_acceptance(ctx, response, case)


@schemathesis.check
def forbidden_requests_are_refused(ctx: Any, response: Any, case: Any) -> None:
    """What the schema forbids is refused; a JSON text whose header says that it is one row in binary is just that."""
    if str(case.headers.get("Inference-Header-Content-Length")) != "0":
        negative_data_rejection(ctx, response, case)


class Exploration:
    """What one phase found: ``failures`` in words, and the statuses of all answers by operation."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.statuses: dict[str, set[int]] = defaultdict(set)
        self.checks = 0

    def add(self, event: Any) -> None:
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.NonFatalError):
            self.failures.append(f"{event.label}: {event.value}")
        elif isinstance(event, events.ScenarioFinished):
            self._scenario(event.recorder)

    def _scenario(self, recorder: Any) -> None:
        for node in recorder.cases.values():
            interaction = recorder.interactions.get(node.value.id)
            if interaction is not None and interaction.response is not None:
                self.statuses[node.value.operation.label].add(interaction.response.status_code)
        for checks in recorder.checks.values():
            self.checks += len(checks)
            for check in checks:
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    self.failures.append(f"{failure.title}: {failure.message}\n{check.failure_info.code_sample}")


def load(app: Any, token: str, client: tuple[str, str], *, only: str = "") -> Any:
    """The document of ``app``, to be explored with a bearer token, or with a client's credentials where those count.

    ``only`` is a pattern of the paths that are asked at all.
    """
    config = SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "dictionaries": {"models": {"values": list(_MODELS)}, "versions": {"values": ["1"]}},
            "parameters": {
                "path.name": {"dictionary": "models", "probability": 0.8},
                "path.version": {"dictionary": "versions", "probability": 0.8},
            },
            "auth": {
                "openapi": {"bearer": {"bearer": token}, "client": {"username": client[0], "password": client[1]}}
            },
            "headers": {"Accept-Encoding": "identity"},  # its transport for WSGI does not open compressed answers
            "generation": {"deterministic": True, "database": "none"},
            "checks": _CHECKS,
            "continue-on-failure": True,
        }
    )
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app, config=config)
    # Who unloads a model leaves nothing to ask it; only those who look at that ask for it.
    return schema.include(path_regex=only) if only else schema.exclude(operation_id="repositoryUnload")


def explore(schema: Any, phase: str, max_examples: int) -> Exploration:
    """Run one phase: ``examples`` of the document, ``coverage`` of its limits, ``fuzzing``, or ``stateful`` links."""
    config = schema.config
    config.generation.update(max_examples=max_examples)
    for name in ("examples", "coverage", "fuzzing", "stateful"):
        config.phases.get_by_name(name=name).enabled = name == phase
    found = Exploration()
    for event in from_schema(schema).execute():
        found.add(event)
    return found
