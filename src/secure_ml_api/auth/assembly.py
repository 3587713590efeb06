"""The room put together from settings: what the application, and each command, is handed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from ..audit.rotation import Retention
from ..audit.trail import AuditTrail
from ..database.engine import Database
from ..settings import Settings
from ..state.shared import STANDING_FILE, shared_state
from ..telemetry.trace_context import Outgoing, untraced
from .audit_key import read_audit_key
from .clients import Clients
from .keys import KeyRing
from .revocations import Revocations
from .secrets import SecretHasher
from .standing import StandingBook

if TYPE_CHECKING:
    from .authenticator import Authenticator
    from .oauth import OAuth


@dataclass(frozen=True, slots=True)
class Stores:
    """What needs no web framework: nothing is opened, and no thread runs, before the first use."""

    database: Database
    trail: AuditTrail
    book: StandingBook
    clients: Clients
    revocations: Revocations
    ring: KeyRing


@dataclass(frozen=True, slots=True)
class Doormen:
    """What the application asks about callers."""

    authenticator: Authenticator
    oauth: OAuth


def open_stores(settings: Settings, *, tell_machine: bool = True) -> Stores:
    """The stores that ``settings`` name; raises OperatorError for a database that cannot be.

    ``tell_machine`` writes changes of clients to the shared state under ``run/``, making it where it is missing.
    """
    database = Database(settings.database_url, settings.database.timeout_seconds)
    copy = shared_state(settings.run_directory / STANDING_FILE, settings.state.size_bytes)
    book = StandingBook(database, copy, settings.database.on_storage_error)
    told = book if tell_machine else None
    # A quarter of a worker's threads may wait for a proof of secrets, so that a flood of logins leaves it the rest.
    hasher = SecretHasher(settings.tokens.hashing_concurrency, most_waiting=max(1, settings.server.threads // 4))
    return Stores(
        database=database,
        trail=open_trail(settings, database),
        book=book,
        clients=Clients(database, hasher, settings.quotas, told),
        revocations=Revocations(database, told),
        ring=open_ring(settings),
    )


def open_trail(settings: Settings, database: Database) -> AuditTrail:
    """The audit trail of the home of ``settings``, in ``database``."""
    return AuditTrail(
        database,
        cache(partial(read_audit_key, settings.keys_directory)),
        settings.audit_directory,
        Retention(settings.audit.max_lines, settings.audit.max_days),
    )


def open_ring(settings: Settings) -> KeyRing:
    """The keys in the home of ``settings``."""
    tokens = settings.tokens
    return KeyRing(settings.keys_directory, tokens.algorithm, tokens.lifetime_seconds + tokens.leeway_seconds)


def post_doormen(app: Any, settings: Settings, stores: Stores, outgoing: Outgoing = untraced) -> Doormen:
    """Bind Flask-JWT-Extended to ``app`` (a ``flask.Flask``) and put authentication together around it.

    Raises SettingsError for outside issuers that cannot be.
    """
    from .authenticator import Authenticator
    from .jwt_extended import Adapter
    from .oauth import OAuth
    from .outside import OutsideIssuers
    from .trust import Trust

    tokens = settings.tokens
    outside = OutsideIssuers(tokens.outside_issuers, outgoing)
    trust = Trust(tokens, stores.ring, outside)
    adapter = Adapter(
        app, trust, issued=trust.issued, lifetime_seconds=tokens.lifetime_seconds, trusted=trust.all_expected
    )
    authenticator = Authenticator(
        adapter=adapter,
        trust=trust,
        ring=stores.ring,
        outside=outside,
        book=stores.book,
        revocations=stores.revocations,
    )
    oauth = OAuth(
        tokens,
        clients=stores.clients,
        adapter=adapter,
        authenticator=authenticator,
        revocations=stores.revocations,
        ring=stores.ring,
        trail=stores.trail,
    )
    return Doormen(authenticator, oauth)
