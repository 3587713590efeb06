"""All ways into one application: the fast lane, alone and in company, and Flask."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from itertools import count
from queue import SimpleQueue

from werkzeug.test import Client, EnvironBuilder, TestResponse

from secure_ml_api.api.company import Company, Parked
from secure_ml_api.api.lane import Environ, FastLane, StartResponse, Wsgi, route_of
from secure_ml_api.api.walkers import Walkers
from support.application import Application
from support.bodies import GOOD, ROWS

_numbers = count()
JSON = {"Content-Type": "application/json"}


class InCompany:
    """The fast lane as it answers a request between two others: a good one, and one that is refused."""

    def __init__(self, lane: FastLane, company: Company, token: str) -> None:
        self._lane = lane
        self._company = company
        self._token = token

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        is_for_it = environ["REQUEST_METHOD"] == "POST" and route_of(environ["PATH_INFO"]) is not None
        if not is_for_it or "HTTP_TRANSFER_ENCODING" in environ or not environ.get("CONTENT_LENGTH", "").isdigit():
            return self._lane(environ, start_response)
        arrived: SimpleQueue[Parked] = SimpleQueue()
        asked = [self._neighbour(GOOD), environ, self._neighbour(b"{")]
        parked = self._company.answer(asked, arrived.put)
        came = [arrived.get(timeout=30) for each in parked if isinstance(each, Parked)]
        arrivals = {each: self._company.arrive([each])[0] for each in came}
        first, answer, last = (each if isinstance(each, tuple) else arrivals[each] for each in parked)
        assert (first[0], json.loads(first[2])["label"], last[0]) == ("200 OK", "setosa", "400 BAD REQUEST")
        start_response(*answer[:2])
        return [answer[2]]

    def _neighbour(self, body: bytes) -> Environ:
        headers = [("Authorization", f"Bearer {self._token}"), *JSON.items()]
        return EnvironBuilder(ROWS, method="POST", data=body, headers=headers).get_environ()


class Doors:
    """All ways into one application, each asked by a client of its own with the same scopes and quotas."""

    def __init__(self, application: Application) -> None:
        lane = application.house.lane
        assert lane is not None
        token = application.token("predict:*")
        in_company = (InCompany(lane, Company(lane), token), InCompany(lane, Walkers(lane, 4), token))
        self._doors: tuple[Wsgi, ...] = (lane, lane.behind, *in_company)
        self._application = application
        self._tokens: dict[str, tuple[str, ...]] = {}

    def tokens(self, kind: str) -> tuple[str, ...]:
        """One token for each door, of clients that were made alike."""
        if kind not in self._tokens:
            scopes, options = {
                "any model": (("predict:*",), {}),
                "another model": (("predict:outliers",), {}),
                "few requests": (("predict:*",), {"requests": "3/hour"}),
                "few rows": (("predict:*",), {"rows": "5/hour"}),
            }[kind]
            make = self._application.token
            self._tokens[kind] = tuple(make(*scopes, concurrency=8, **options) for _ in self._doors)
        return self._tokens[kind]

    def ask(self, path: str, body: bytes, headers: Mapping[str, str], kind: str | None = "any model") -> TestResponse:
        """The one answer of all doors."""
        request_id = f"r-{next(_numbers)}"
        answers = []
        for door, token in zip(self._doors, self.tokens(kind) if kind else (None,) * len(self._doors), strict=True):
            sent = {"X-Request-Id": request_id, **({"Authorization": f"Bearer {token}"} if token else {}), **headers}
            answers.append(Client(door).post(path, data=body, headers=sent))
        seen = [(answer.status, said(answer), answer.get_data()) for answer in answers]
        assert all(each == seen[0] for each in seen)
        return answers[0]


def said(answer: TestResponse) -> list[tuple[str, str]]:
    """Headers without their order, and without the seconds that passed between two questions."""
    return sorted(
        (name.lower(), re.sub(r";t=\d+", ";t=", value) if name != "Retry-After" else "soon")
        for name, value in answer.headers.items()
    )
