"""JSON texts as careless, clumsy and hostile callers write them, for readers that must agree about every one."""

from __future__ import annotations

from hypothesis import strategies as st

from secure_ml_api.errors import Refusal, SignatureMismatch
from secure_ml_api.tensors import Tensors

GOOD_NUMBERS = (
    "0", "-0", "-0.0", "0.0", "1", "-1", "5.1", "1E5", "1e-5", "1e+5", "1.5E-7", "0.1000000000000000055511151231257827",
    "9007199254740993", "9007199254740992.9999999", "2.2250738585072011e-308", "4.9e-324", "1e-400", "16777217",
    "3.4028234663852886e38", "3.4028235677973365e38", "0.30000000000000004", "123456789.123456789",
    "18446744073709551615", "9223372036854775807", "-9223372036854775808", "7.038531e-26", "8.41e21",
    "1" + "0" * 30, "0." + "3" * 400, "9" * 4301 + "e-4290",
)  # fmt: skip
BAD_NUMBERS = (
    "01", "1.", ".5", "+1", "-", "1e", "1e400", "-1e400", "1e39", "3.4028235677973366e38", "NaN", "Infinity",
    "-Infinity", "0x10", "1_000", "--1", "1-1", "1e5.5", "9" * 400, "9" * 4400, "18446744073709551616",
    "-9223372036854775809", "", " ", "1 2", "٣", "true", "false", "null", '"1"', "[]", "[1]", "{}",
    '{"a": 1, "a": 2}', '"\\ud800"', '"]"', "// 1", "nan",
)  # fmt: skip
GAPS = st.sampled_from(["", "", "", " ", "\n", "\t", "\r\n  ", "\x0b", "\u00a0", "\ufeff"])
GOOD_GAPS = st.sampled_from(["", "", " ", "\n", "\t", "\r\n  "])
NUMBERS = st.one_of(
    st.sampled_from(GOOD_NUMBERS),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.integers(0, 100).map(str),
    st.decimals(-1000, 1000, allow_nan=False, allow_infinity=False).map(str),
)
_SOUP = st.lists(
    st.sampled_from(
        ["[", "]", "{", "}", ",", ":", '"', "\\", "1", "2.5", "-", "e", " ", "null", "true", '"features"',
         '"instances"', '"outputs"', '"inputs"', '"data"', '"name"', '"input"', '"shape"', '"datatype"', '"FP32"',
         '"\\u0064ata"', "\x7f0", '"\x7f0"', "\u00e9", '"labels"']
    ),
    max_size=24,
).map("".join)  # fmt: skip


@st.composite
def rows_of(draw: st.DrawFn, width: int, gaps: st.SearchStrategy[str] = GOOD_GAPS, most: int = 6) -> str:
    """Rows of ``width`` numbers, as the text of one JSON array."""
    rows = draw(st.integers(1, most))
    return "[" + ",".join(draw(gaps) + draw(row_of(width, gaps)) + draw(gaps) for _ in range(rows)) + "]"


@st.composite
def row_of(draw: st.DrawFn, width: int, gaps: st.SearchStrategy[str] = GOOD_GAPS) -> str:
    """One row of numbers, as the text of a JSON array."""
    return "[" + ",".join(draw(gaps) + draw(NUMBERS) + draw(gaps) for _ in range(width)) + "]"


@st.composite
def spoilt(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> bytes:
    """A text with up to three accidents: other bytes, bytes lost or doubled, another number, rubbish around it."""
    body = draw(texts).encode()
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(body)))
        to = min(len(body), at + draw(st.integers(0, 4)))
        accident = draw(st.sampled_from(["lose", "double", "bytes", "number", "soup", "end", "begin"]))
        if accident == "lose":
            body = body[:at] + body[to:]
        elif accident == "double":
            body = body[:to] + body[at:]
        elif accident == "bytes":
            body = body[:at] + draw(st.binary(max_size=3)) + body[to:]
        elif accident == "number":
            body = body[:at] + draw(st.sampled_from(BAD_NUMBERS)).encode() + body[to:]
        elif accident == "soup":
            body = body[:at] + draw(_SOUP).encode() + body[at:]
        elif accident == "end":
            body += draw(
                st.sampled_from([b"\x00", b"\xff", b"\xc3", b"]", b"}", b"{}", b" ", b",", b"\n", b"1", b"\xe2\x82"])
            )
        else:
            body = draw(st.sampled_from([b"\xef\xbb\xbf", b" ", b"\x00", b"[", b"{"])) + body
    return body


def soups() -> st.SearchStrategy[bytes]:
    """Pieces of requests in any order."""
    return _SOUP.map(str.encode)


def verdict(refusal: Refusal) -> object:
    """All that tells one refusal from another."""
    return type(refusal), refusal.detail, refusal.misfits if isinstance(refusal, SignatureMismatch) else ()


def bits(tensors: Tensors) -> object:
    """Names, types, shapes and every bit of ``tensors``."""
    return {
        name: (tensor.dtype, tensor.shape, tensor.tolist() if tensor.dtype == object else tensor.tobytes())
        for name, tensor in tensors.items()
    }
