"""JSON as RFC 8259 has it, read strictly: UTF-8 alone, no NaN, no duplicate keys, bounded depth."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ..errors import MalformedBody


def read_json(body: bytes) -> Any:
    """The value of one JSON text; raises MalformedBody with the place, and never repeats the text."""
    try:
        text = body.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
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


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise MalformedBody("an object in the body has the same key twice")
    return value


def _constant(_: str) -> NoReturn:
    raise MalformedBody("NaN and Infinity are not JSON")
