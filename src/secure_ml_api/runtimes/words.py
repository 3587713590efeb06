"""Linear models over counted words, in NumPy alone: what TF-IDF and a linear classifier or regression compute.

A graph has to pad every text of a run to the longest of them, so one long text beside many short ones would take all
memory; here a row costs what its own words cost. The words are found as scikit-learn finds them.
"""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import PackageRefused
from ..tensors import NUMPY_DTYPES, Signature, Tensors
from .protocol import Session, VerifiedArtifact

WORDS_FILE = "model.words.npz"

# Patterns that are known to take time in proportion to the text; others are not searched for.
PATTERNS = (r"(?u)\b\w\w+\b", r"(?u)\b\w+\b", r"\b\w\w+\b", r"\b\w+\b", r"\w+", r"(?u)\w+")

Array = np.ndarray[Any, np.dtype[Any]]


class Reading(BaseModel):
    """How a text becomes numbers, in the words of scikit-learn's TfidfVectorizer, and numbers become an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    lowercase: bool
    strip_accents: Literal["ascii", "unicode"] | None
    token_pattern: str
    stop_words: frozenset[str]
    smallest_ngram: Annotated[int, Field(ge=1, le=10)]
    largest_ngram: Annotated[int, Field(ge=1, le=10)]
    binary: bool
    sublinear_tf: bool
    norm: Literal["l1", "l2"] | None
    link: Literal["softmax", "logistic"] | None
    """From scores to probabilities: over all classes, each by itself and then together 1, or not at all."""
    terms: tuple[str, ...]


class WordsRuntime:
    """Loads tables of terms and weights; all in Python and NumPy, on the caller's thread, so a fork does no harm."""

    name = "words"
    fork_safe = True

    def load(self, artifact: VerifiedArtifact, threads: int) -> Session:
        """A session on ``model.words.npz``; raises PackageRefused when it is no such table or does not fit."""
        where = f"{artifact.name}/{artifact.version}"
        data = artifact.files.get(WORDS_FILE)
        if data is None:
            raise PackageRefused(f"{where}: the package has no {WORDS_FILE}")
        try:
            return open_words(data, artifact.signature)
        except PackageRefused as refused:
            raise PackageRefused(f"{where}: {refused}") from None


def write_words(reading: Reading, *, scale: Array, coefficients: Array, intercept: Array) -> bytes:
    """The bytes of a table: ``scale`` [terms], ``coefficients`` [scores, terms] and ``intercept`` [scores], float64."""
    buffer = io.BytesIO()
    head = np.frombuffer(reading.model_dump_json().encode(), dtype=np.uint8)
    np.savez(buffer, allow_pickle=False, head=head, scale=scale, coefficients=coefficients, intercept=intercept)
    return buffer.getvalue()


def open_words(data: bytes, signature: Signature) -> Session:
    """A session on the table in ``data``; raises PackageRefused as ``load`` does."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            reading = Reading.model_validate_json(stored["head"].tobytes())
            names = ("scale", "coefficients", "intercept")
            scale, coefficients, intercept = (np.asarray(stored[name], np.float64) for name in names)
    except (ValidationError, ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise PackageRefused(f"{WORDS_FILE} cannot be read ({type(error).__name__}); pack the model again") from None
    scores = len(signature.classes) if len(signature.classes) > 2 else 1
    terms = len(reading.terms)
    if reading.link == "softmax" and len(signature.classes) == 2:
        scores = 2
    shapes = (scale.shape, coefficients.shape, intercept.shape)
    if shapes != ((terms,), (scores, terms), (scores,)) or len(set(reading.terms)) != terms:
        raise PackageRefused(f"{WORDS_FILE} has other terms or weights than it says")
    if reading.token_pattern not in PATTERNS:
        raise PackageRefused(f"{WORDS_FILE} looks for words by a pattern that is not one of those known to be quick")
    if len(signature.columns) != 1 or not signature.columns[0].is_text or signature.task == "anomaly":
        raise PackageRefused(f"{WORDS_FILE} takes one text and gives classes or a number; the signature says otherwise")
    if signature.has_probabilities and signature.classes and reading.link is None:
        raise PackageRefused(f"{WORDS_FILE} gives no probabilities and the signature has some")
    return WordsSession(reading, signature, scale, coefficients, intercept)


class WordsSession:
    """Never changes after it is made, so threads may share it."""

    def __init__(self, reading: Reading, signature: Signature, scale: Array, weights: Array, intercept: Array) -> None:
        self._reading = reading
        self._terms_of = analyzer(reading)
        self._known = {term: position for position, term in enumerate(reading.terms)}
        self._scale, self._weights, self._intercept = scale, weights, intercept
        self._column = signature.columns[0].name
        self._specs = {spec.name: spec for spec in signature.outputs}
        values = [value if isinstance(value, int) else position for position, value in enumerate(signature.classes)]
        self._values = np.array(values, dtype=np.int64)

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        """The tensors named in ``outputs``."""
        specs = [self._specs[name] for name in outputs]
        scores = self._scores(inputs[self._column][:, 0])
        return {spec.name: self._answer(spec.name, scores).astype(NUMPY_DTYPES[spec.datatype]) for spec in specs}

    def _scores(self, texts: Array) -> Array:
        """The decisions for ``texts`` [rows], float64 [rows, scores]."""
        rows = len(texts)
        row, place, number = self._counted(texts)
        if self._reading.binary:
            number[:] = 1.0
        if self._reading.sublinear_tf:
            number = np.log(number) + 1.0
        number *= self._scale[place]
        if self._reading.norm is not None:
            squared = self._reading.norm == "l2"
            length = np.bincount(row, number * number if squared else np.abs(number), minlength=rows)
            length = np.sqrt(length) if squared else length
            number /= np.where(length == 0, 1.0, length)[row]
        # Summed here and not by BLAS, whose threads would be more than a run may use.
        sums = [np.bincount(row, number * weights[place], minlength=rows) for weights in self._weights]
        return np.column_stack(sums) + self._intercept

    def _counted(self, texts: Array) -> tuple[Array, Array, Array]:
        """Each known term of each text once, row by row: its row, its place in the table, and how often it is there."""
        known, terms_of = self._known, self._terms_of
        found: list[int] = []
        counts = np.zeros(len(texts), dtype=np.int64)
        for row, text in enumerate(texts):
            before = len(found)
            found.extend([known[term] for term in terms_of(text) if term in known])
            counts[row] = len(found) - before
        keys = np.repeat(np.arange(len(texts)) * len(known), counts) + np.array(found, dtype=np.int64)
        once, number = np.unique(keys, return_counts=True)
        row_of, place = np.divmod(once, max(1, len(known)))
        return row_of, place, number.astype(np.float64)

    def _answer(self, output: str, scores: Array) -> Array:
        if output == "probabilities":
            return self._probabilities(scores)
        if output == "value":
            return scores[:, 0]
        chosen = np.argmax(scores, axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0).astype(np.intp)
        return np.asarray(self._values[chosen])

    def _probabilities(self, scores: Array) -> Array:
        if self._reading.link == "softmax":
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=1, keepdims=True))
        each = 0.5 * (1.0 + np.tanh(0.5 * scores))
        if each.shape[1] == 1:
            return np.column_stack((1.0 - each, each))
        return np.asarray(each / each.sum(axis=1, keepdims=True))


def analyzer(reading: Reading) -> Callable[[str], Sequence[str]]:
    """From a text to its terms, as scikit-learn's word analyzer finds them."""
    find = re.compile(reading.token_pattern).findall
    smallest, largest, stops = reading.smallest_ngram, reading.largest_ngram, reading.stop_words

    def terms(text: str) -> Sequence[str]:
        if reading.lowercase:
            text = text.lower()
        if reading.strip_accents is not None:
            text = _stripped(text, reading.strip_accents)
        words = find(text)
        if stops:
            words = [word for word in words if word not in stops]
        if largest == 1:
            return words
        sizes = range(smallest, min(largest, len(words)) + 1)
        return [" ".join(words[at : at + size]) for size in sizes for at in range(len(words) - size + 1)]

    return terms


def _stripped(text: str, how: Literal["ascii", "unicode"]) -> str:
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFKD", text)
    if how == "ascii":
        return parts.encode("ascii", "ignore").decode("ascii")
    return "".join(part for part in parts if not unicodedata.combining(part))
