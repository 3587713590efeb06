"""The certificate that new connections get and whose they believe, and what follows when the files change.

Connections that are open keep what they began with, so nothing is dropped. A successor that does not serve changes
nothing: one line of the log says why, and the certificate before it stays.
"""

from __future__ import annotations

import logging
import ssl
import time
from datetime import UTC, datetime
from typing import NoReturn

from ..errors import SettingsError
from ..telemetry.metrics import Metrics
from .tls import TlsFiles, secured
from .tls_socket import TlsSocket

logger = logging.getLogger(__name__)

_HOUSEKEEPING_SECONDS = 1.0


class Certificates:
    """Made in the master, so that the workers take each other's session tickets; each looks after its own copy then.

    ``refresh`` is called by one thread; what new connections get is swapped in one step.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Raises SettingsError when ``files`` do not serve."""
        self._files = files
        self._seen = self._tried = self._stamp()
        self._secured = secured(files)
        self._prepare()

    @property
    def context(self) -> ssl.SSLContext:
        """For connections that begin now."""
        return self._secured.context

    @property
    def ends_at(self) -> datetime:
        """When the certificate that new connections get ends."""
        return self._secured.ends_at

    @property
    def asks_clients(self) -> bool:
        """Whether clients are asked for certificates."""
        return self.context.verify_mode != ssl.CERT_NONE

    def refresh(self) -> bool:
        """Take over files that have changed since; whether new connections get something else now.

        For housekeeping, every second. Files are read when they were the same twice, as certificate and key are often
        written one after the other.
        """
        stamp, before = self._stamp(), self._seen
        self._seen = stamp
        if stamp == self._tried or stamp != before:
            return False
        self._tried = stamp
        try:
            self._secured = secured(self._files)
        except SettingsError as error:
            logger.error("a TLS file has changed and does not serve, the one before stays: %s", error)  # noqa: TRY400
            return False
        self._prepare()
        logger.info("the certificate was read again", extra={"ends_at": self.ends_at.isoformat()})
        return True

    def look_after(self, port: int) -> NoReturn:
        """A worker's housekeeping, in a thread of its own: read changed files, and tell when the certificate ends."""
        metrics = Metrics()
        while True:
            metrics.certificate_ends(port, self.ends_at.timestamp())
            if (end_at := self._secured.revocations_end_at) is not None:
                metrics.client_revocations_end(port, end_at.timestamp())
            time.sleep(_HOUSEKEEPING_SECONDS)
            try:
                self.refresh()
            except Exception:
                logger.exception("the certificate could not be looked after")

    def _prepare(self) -> None:
        self.context.sslsocket_class = TlsSocket
        if self.ends_at <= datetime.now(UTC):
            logger.error(
                "the certificate has ended: clients will refuse it", extra={"ends_at": self.ends_at.isoformat()}
            )

    def _stamp(self) -> object:
        try:
            return self._files.stamp()
        except OSError as error:
            return error.filename, error.errno
