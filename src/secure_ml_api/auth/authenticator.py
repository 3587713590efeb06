"""From an Authorization header to a principal: what the token proves, then whether it still stands."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ..errors import OperatorError, StorageUnavailable, TokenRefused
from ..telemetry.client_certificates import current_client_certificate
from .claims import Claims
from .compact import bearer_token, read_unverified
from .jwt_extended import Adapter
from .keys import KeyRing
from .outside import OutsideIssuers
from .policy import common, is_scope
from .principal import Principal
from .revocations import Revocations
from .standing import StandingBook
from .trust import Trust
from .verified_tokens import VerifiedTokens

log = logging.getLogger(__name__)

_PRUNE_SECONDS = 600.0


class Authenticator:
    """Authenticates requests in every worker; built before the fork, it opens what it needs with its first use."""

    def __init__(
        self,
        *,
        adapter: Adapter,
        trust: Trust,
        ring: KeyRing,
        outside: OutsideIssuers,
        book: StandingBook,
        revocations: Revocations,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._adapter = adapter
        self._trust = trust
        self._ring = ring
        self._outside = outside
        self._book = book
        self._revocations = revocations
        self._now = now
        self._verified = VerifiedTokens(trust.verifying_key, now=now)
        self._pruned_at = now()
        self._complaints: dict[str, str] = {}
        adapter.consult(self.holder)

    def authenticate(self, authorization: str | None, ask_first: Callable[[], object] = lambda: None) -> Principal:
        """The principal of a request; raises TokenMissing, TokenRefused, or StorageUnavailable when none can tell.

        ``ask_first`` is called before a signature has to be checked, and may raise to prevent it.
        """
        token = bearer_token(authorization)
        verified = self._verified.find(token)
        if verified is None:
            ask_first()
            return self.holder(self.verify(token))
        # Nothing was revoked, disabled or changed anywhere on the machine while the version is the same.
        version = self._book.version
        known: tuple[object, Principal] | None = verified.noted
        if known is None or known[0] != version:
            verified.noted = known = version, self.standing(verified.claims)
        return known[1]

    def verify(self, token: str) -> Claims:
        """What ``token`` says, its signature and claims checked; the same for the whole life of the token and its key.

        Raises TokenRefused. Not an answer by itself: ``standing`` comes after it, every time.
        """
        said = read_unverified(token)
        key = self._trust.verifying_key(said.issuer, said.kid)
        claims = self._adapter.verify(token)
        if claims.bound_to is None:  # others have to be proved anew with every request
            self._verified.keep(token, said.kid, claims, key)
        return claims

    def holder(self, claims: Claims) -> Principal:
        """``standing``, for whom the current connection proves to hold what the token is bound to."""
        if claims.bound_to is not None:
            certificate = current_client_certificate.get()
            if certificate is None or certificate.thumbprint != claims.bound_to:
                raise TokenRefused("certificate")
        return self.standing(claims)

    def standing(self, claims: Claims) -> Principal:
        """The principal as it stands this instant: not revoked, enabled, with the scopes that it holds now.

        Raises TokenRefused, or StorageUnavailable.
        """
        if claims.expires_at <= self._now() - self._trust.issued.leeway_seconds:
            raise TokenRefused("expired")
        outside = self._trust.outside(claims.issuer)
        if outside is not None:
            token_id = f"{claims.issuer}|{claims.token_id}"
            if self._book.look_up(token_id, None).revoked:
                raise TokenRefused("revoked")
            return Principal(
                client_id=f"{claims.issuer}|{claims.subject}",
                scopes=frozenset(scope for scope in claims.scopes if is_scope(scope)),
                token_id=token_id,
                expires_at=claims.expires_at,
                requests=outside.requests,
                rows=outside.rows,
                concurrency=outside.concurrency,
            )
        standing = self._book.look_up(claims.token_id, claims.client_id)
        if standing.revoked:
            raise TokenRefused("revoked")
        client = standing.client
        if client is None or not client.enabled:
            raise TokenRefused("client")
        return Principal(
            client_id=client.client_id,
            scopes=common(claims.scopes, client.scopes),
            token_id=claims.token_id,
            expires_at=claims.expires_at,
            requests=client.requests,
            rows=client.rows,
            concurrency=client.concurrency,
        )

    def refresh(self) -> None:
        """The housekeeping of one worker, called every second; never raises for what a disk or a database does.

        Notices keys that changed on disk, a state file that was lost, and what other machines wrote to the database.
        """
        self._outside.start()
        self._attempt("keys", self._reload_keys)
        self._attempt("state", self._mend)
        self._attempt("database", self._book.catch_up)
        self._verified.forget_ended()
        if self._now() - self._pruned_at > _PRUNE_SECONDS:
            self._pruned_at = self._now()
            self._attempt("revocations", self._prune)

    def _reload_keys(self) -> None:
        if self._ring.reload():
            log.info("the token-signing keys were read")

    def _mend(self) -> None:
        if self._book.mend():
            log.warning("the shared state was lost and has been filled again from the database")

    def _prune(self) -> None:
        self._book.prune()
        self._revocations.prune()

    def _attempt(self, what: str, task: Callable[[], object]) -> None:
        """Run ``task``; a failure is logged once, not every second, until it is over."""
        try:
            task()
        except (StorageUnavailable, OperatorError) as error:
            if self._complaints.get(what) != str(error):
                self._complaints[what] = str(error)
                log.warning("%s: %s; going on with what is known", what, error)
        else:
            if self._complaints.pop(what, None) is not None:
                log.warning("%s: working again", what)
