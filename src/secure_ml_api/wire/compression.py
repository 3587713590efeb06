"""Compressed request bodies, opened under a cap: no bomb is ever unpacked past the limit."""

from __future__ import annotations

import zlib

from ..errors import BodyTooLarge, MalformedBody, UnsupportedContent

# zlib's window argument per encoding: gzip with its header; deflate is zlib-wrapped (RFC 9110 section 8.4.1.2).
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
ENCODINGS = ("gzip", "deflate")


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
