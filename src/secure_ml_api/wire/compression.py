"""Bodies that come compressed, opened under a cap: no bomb is ever unpacked past the limit; answers that go so."""

from __future__ import annotations

import zlib
from dataclasses import replace

from werkzeug.http import parse_accept_header

from ..errors import BodyTooLarge, MalformedBody, UnsupportedContent
from .negotiation import LONGEST_WISH
from .question import Answer

# zlib's window argument per encoding: gzip with its header; deflate is zlib-wrapped (RFC 9110 section 8.4.1.2).
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
ENCODINGS = ("gzip", "deflate")
# Below this compressing costs more time than sending, even over slow lines: a few packets.
_WORTH_BYTES = 8192
_LEVEL = 1


def decompressed(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """``body`` as it was before ``Content-Encoding``; raises BodyTooLarge, MalformedBody or UnsupportedContent."""
    coding = encoding.strip().lower()
    if coding in {"", "identity"}:
        return body
    if coding not in _WINDOWS:
        raise UnsupportedContent("bodies may be compressed with gzip or deflate, once", ENCODINGS)
    inflater = zlib.decompressobj(_WINDOWS[coding])
    try:
        plain = inflater.decompress(body, limit_bytes + 1)
    except zlib.error:
        raise MalformedBody(f"the body is not {coding} data") from None
    if len(plain) > limit_bytes:
        raise BodyTooLarge(f"the body is larger than {limit_bytes} bytes after decompression")
    if not inflater.eof or inflater.unused_data:
        raise MalformedBody(f"the body is not one whole {coding} stream")
    return plain


def compressed(answer: Answer, accept_encoding: str) -> Answer:
    """``answer`` as gzip or deflate when it is large and the caller asks for one of them; else as it is."""
    if not 0 < len(accept_encoding) <= LONGEST_WISH or len(answer.body) < _WORTH_BYTES:
        return answer
    asked = dict(reversed([(coding.lower(), quality) for coding, quality in parse_accept_header(accept_encoding)]))
    qualities = {coding: asked.get(coding, asked.get("*", 0)) for coding in ENCODINGS}
    coding = max(ENCODINGS, key=lambda coding: qualities[coding])  # the first of equals
    if qualities[coding] <= 0:
        return answer
    body = zlib.compress(answer.body, _LEVEL, _WINDOWS[coding])
    headers = (*answer.headers, ("Content-Encoding", coding), ("Vary", "Accept-Encoding"))
    return replace(answer, body=body, headers=headers)
