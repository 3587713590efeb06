"""One method of one route, as the OpenAPI document describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

Schema = type[BaseModel] | tuple[type[BaseModel], ...]

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route. ``scopes``: any one opens it; empty: no bearer token is asked for."""

    method: str
    path: str
    id: str
    tag: str
    summary: str
    answer: Schema | None
    scopes: tuple[str, ...] = ()
    request: Schema | None = None
    form: bool = False
    client_authenticated: bool = False
    refusals: tuple[int, ...] = (429,)
    content_type: str = "application/json"
    example: Any = None
