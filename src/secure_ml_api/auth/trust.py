"""Whose tokens are believed: those signed here, and those of the outside issuers that settings name."""

from __future__ import annotations

from jwt import PyJWK

from ..access_sections import OutsideIssuer, TokensSettings
from .claims import Expected
from .key_state import SigningKey
from .keys import KeyRing
from .outside import OutsideIssuers


class Trust:
    """The keys of every trusted issuer, each issuer's apart: a key of one never verifies a token of another."""

    def __init__(self, settings: TokensSettings, ring: KeyRing, outside: OutsideIssuers) -> None:
        self._ring = ring
        self._outside = outside
        self.issued = Expected(settings.issuer, settings.audience, settings.leeway_seconds)
        self._expected = {
            issuer.issuer: Expected(
                issuer.issuer,
                issuer.audience,
                settings.leeway_seconds,
                scope_claim=issuer.scope_claim,
                audience_in_list=True,
            )
            for issuer in outside.issuers.values()
        }
        # Whoever is configured as an outside issuer under our own name is not one.
        self._expected[settings.issuer] = self.issued

    @property
    def all_expected(self) -> tuple[Expected, ...]:
        return tuple(self._expected.values())

    def signing_key(self) -> SigningKey:
        """The key to sign with now; raises KeyFileError."""
        return self._ring.signing_key()

    def verifying_key(self, issuer: str, kid: str) -> PyJWK | None:
        """The key of ``issuer`` called ``kid``, bound to one algorithm; from memory only."""
        if issuer == self.issued.issuer:
            return self._ring.verifying_key(kid)
        return self._outside.verifying_key(issuer, kid)

    def expected(self, issuer: str) -> Expected | None:
        """What tokens of ``issuer`` must say; None for an issuer that is not trusted."""
        return self._expected.get(issuer)

    def outside(self, issuer: str) -> OutsideIssuer | None:
        """The settings of an outside issuer; None for our own tokens."""
        return None if issuer == self.issued.issuer else self._outside.issuers.get(issuer)
