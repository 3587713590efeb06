"""Clients and revocations as they are written in the shared copy of the database; see ``standing``."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import orjson

from .records import ClientRecord, Revocation

# The number of the last change that the copy holds; its presence says that the copy is complete.
APPLIED = b"applied change"


def put_client(
    transaction: Any, tables: Mapping[Any, Any], client_id: str, record: ClientRecord | None, revision: int
) -> None:
    key, table = digest(client_id), tables["standing"]
    kept = transaction.get(key, db=table)
    if kept is not None and orjson.loads(kept)["revision"] > revision:
        return  # a later change came first: writers do not wait for each other between the database and this copy
    content = {"revision": revision} if record is None else asdict(record) | {"scopes": sorted(record.scopes)}
    transaction.put(key, orjson.dumps(content), db=table)


def put_revocation(transaction: Any, tables: Mapping[Any, Any], revocation: Revocation) -> None:
    transaction.put(digest(revocation.token_id), struct.pack(">q", revocation.expires_at), db=tables["revoked"])


def advance(transaction: Any, tables: Mapping[Any, Any], newest: int) -> None:
    transaction.put(APPLIED, struct.pack(">q", newest), db=tables["signals"])


@lru_cache(maxsize=4096)  # keyed by the bytes just read: a changed client has other bytes
def unpacked(kept: bytes) -> ClientRecord | None:
    """The client, None for one that was deleted; raises ValueError for what ``put_client`` did not write."""
    content = orjson.loads(kept)
    try:
        if content.keys() == {"revision"}:
            return None
        return ClientRecord(**(content | {"scopes": frozenset(content["scopes"])}))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("no record of a client") from error


def number(packed: bytes | None) -> int | None:
    return None if packed is None else int(struct.unpack(">q", packed)[0])


@lru_cache(maxsize=16_384)  # the same few ids come again and again
def digest(text: str) -> bytes:
    """A key of one length for any id: LMDB's keys end at 511 bytes, ids of outside issuers do not."""
    return hashlib.sha256(text.encode()).digest()
