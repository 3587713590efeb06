"""JSON as RFC 8259 has it, read strictly: UTF-8 alone, no NaN, no duplicate keys, bounded depth."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from ..errors import BodyTooLarge, MalformedBody
from ..tensors import Signature

# A string, closed or not, or one character that makes the parser allocate: a list, an object, a member of an object.
_STRING_OR_PART = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{:]', re.DOTALL)
_STRING_OR_COMMA = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|,', re.DOTALL)
# Bodies of no more bytes than this for each part that they may have are not worth counting in before a quick reader.
_PART_BYTES = 4


def read_json(body: bytes, most_parts: int | None = None) -> Any:
    """The value of one JSON text; raises MalformedBody with the place, and never repeats the text.

    Lists, objects and their members take up to 30 times the memory of their text: with more than ``most_parts`` of
    them together the body is refused before it is parsed, with BodyTooLarge.
    """
    if most_parts is not None and has_more_parts(body, most_parts):
        raise BodyTooLarge(f"the body has more than {most_parts} lists, objects and members")
    try:
        text = body.decode("utf-8")
        value = _DECODER.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except UnicodeEncodeError:
        raise MalformedBody("a string in the body escapes half of a surrogate pair") from None
    except UnicodeDecodeError as error:
        raise MalformedBody(f"the body is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise MalformedBody(f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise MalformedBody("the body is nested too deeply") from None
    except ValueError:  # Python refuses to parse integers of more than 4300 digits
        raise MalformedBody("the body holds a number with too many digits") from None


def parts_of(signature: Signature, max_rows: int) -> int:
    """As many lists, objects and members as the most rows that the model takes need in any of the protocols.

    The widest form of a row is ``{"feature": {"b64": "…"}, …}``; each tensor of a request has a head of its own.
    """
    columns = len(signature.columns)
    return max_rows * (1 + 3 * columns) + 64 * columns + 256


def has_more_parts(body: bytes, most: int) -> bool:
    """Whether ``body`` has more than ``most`` lists, objects and members."""
    if body.count(b"[") + body.count(b"{") + body.count(b":") <= most:
        return False
    return _has_more(body, _STRING_OR_PART, most)


def check_size(body: bytes, signature: Signature, max_rows: int) -> None:
    """Raise BodyTooLarge for a large body of more parts, or more elements, than the most rows have.

    Elements are cheap one by one, but a kilobyte of gzip may be a million of them.
    """
    most = parts_of(signature, max_rows)
    if len(body) <= _PART_BYTES * most:
        return
    if has_more_parts(body, most):
        raise BodyTooLarge(f"the body has more than {most} lists, objects and members")
    if body.count(b",") > most and _has_more(body, _STRING_OR_COMMA, most):
        raise BodyTooLarge(f"the body has more than {most} elements")


def _has_more(body: bytes, string_or_part: re.Pattern[bytes], most: int) -> bool:
    parts = 0  # what stands inside strings does not count
    for match in string_or_part.finditer(body):
        parts += body[match.start()] != 0x22
        if parts > most:
            return True
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise MalformedBody("an object in the body has the same key twice")
    return value


def _constant(_: str) -> NoReturn:
    raise MalformedBody("NaN and Infinity are not JSON")


# Made once: json.loads with hooks makes a decoder for each text, which takes as long as reading one row.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
