"""The documentation page: one self-contained HTML file made from the OpenAPI document, without a script."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import zip_longest
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .docs_operations import groups_of, slug
from .docs_schemas import pretty

# Tables of models with more features than this start folded.
_OPEN_FEATURES = 16

_TOKEN_COMMAND = """\
BASE={base}
TOKEN=$(curl -fsS -u "$CLIENT_ID:$CLIENT_SECRET" \\
  -d grant_type=client_credentials "$BASE/oauth/token" |
  sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/')"""

_STYLE = files(__package__).joinpath("templates", "docs.css").read_text("utf-8")

STYLE_SHA256 = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
"""Digest of the page's one style element, for a policy that allows exactly it: ``style-src 'sha256-…'``."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One served model as the page shows it.

    ``classes`` are (value, label), the label empty where it says nothing more; ``request`` is a body that its predict
    route takes.
    """

    anchor: str
    name: str
    version: str
    task: str
    description: str
    features: tuple[Mapping[str, Any], ...]
    classes: tuple[tuple[str, str], ...]
    request: str
    is_long: bool


def render_docs(document: dict[str, Any]) -> str:
    """The page for an OpenAPI 3.1 ``document``, which may carry ``x-models`` and ``x-problems``.

    Everything taken from the document is escaped; the page needs no network, and its only style has STYLE_SHA256.
    It has an anchor for each problem reason. Takes tens of milliseconds, so callers keep the result.
    """
    models = tuple(_model(node) for node in document.get("x-models", ()))
    problems = {problem["reason"]: problem for problem in reversed(document.get("x-problems", ()))}
    template = _environment().get_template("docs.html.j2")
    return template.render(
        style=Markup(_STYLE),  # noqa: S704 - a file of this package, nothing of the document
        info=document.get("info", {}),
        token_command=_TOKEN_COMMAND.format(base=shlex.quote(_base_url(document))),
        predict_command=_predict_command(models),
        groups=groups_of(document),
        models=models,
        problems=tuple(reversed(problems.values())),
        reasons={(str(problem["status"]), problem["title"]): reason for reason, problem in problems.items()},
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["paragraphs"] = _paragraphs
    environment.filters["sentence"] = lambda text: text[:1].upper() + text[1:]
    environment.filters["number"] = "{:.6g}".format
    return environment


def _paragraphs(text: str) -> Iterator[list[tuple[bool, str]]]:
    """The paragraphs of ``text``, each as (is code, words): the blank lines and backticks of CommonMark, no more."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        pieces = re.split(r"`+([^`]+)`+", paragraph)
        if any(pieces):
            yield [(index % 2 == 1, piece) for index, piece in enumerate(pieces) if piece]


def _base_url(document: Mapping[str, Any]) -> str:
    """Where the server answers, for the commands to paste: the first absolute server address, or the default one."""
    addresses = [str(server.get("url", "")) for server in document.get("servers", ())]
    return next((a.rstrip("/") for a in addresses if a.startswith(("http://", "https://"))), "http://127.0.0.1:8000")


def _predict_command(models: tuple[ServedModel, ...]) -> str:
    smallest = min(models, key=lambda model: len(model.features), default=None)
    name, request = (smallest.name, smallest.request) if smallest else ("NAME", '{"features": […]}')
    return (
        f'curl -fsS "$BASE"/v1/models/{shlex.quote(name)}/predict \\\n'
        '  -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\\n'
        f"  -d {shlex.quote(request)}"
    )


def _model(node: Mapping[str, Any]) -> ServedModel:
    name, version = str(node["name"]), str(node["version"])
    features = tuple(node.get("features", ()))
    return ServedModel(
        anchor=f"model-{slug(f'{name}-{version}')}",
        name=name,
        version=version,
        task=str(node.get("task", "")),
        description=str(node.get("description", "")),
        features=features,
        classes=_classes(node),
        request=pretty(node["example"] if "example" in node else {"features": [_sample(f) for f in features]}),
        is_long=len(features) > _OPEN_FEATURES,
    )


def _classes(node: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    values = [str(value) for value in node.get("classes", ())]
    labels = [str(label) for label in node.get("labels", ())]
    return tuple(
        (value, "" if label == value else label)
        for value, label in zip_longest(values, labels[: len(values)], fillvalue="")
    )


def _sample(feature: Mapping[str, Any]) -> Any:
    """A value that ``feature`` accepts: a choice, or the middle of the bounds, or the bound that there is."""
    if feature.get("datatype") == "BYTES":
        return next(iter(feature.get("choices") or ()), "text")
    if feature.get("datatype") == "BOOL":
        return True
    low, high = feature.get("minimum"), feature.get("maximum")
    if low is not None and high is not None:
        middle = (low + high) / 2
    else:
        middle = low + 1 if low is not None else high - 1 if high is not None else 1.0
    shown = int(middle) if "INT" in str(feature.get("datatype")) else round(middle, 2)
    # Rounding must not step over a narrow pair of bounds.
    is_inside = (low is None or shown >= low) and (high is None or shown <= high)
    return shown if is_inside else low
