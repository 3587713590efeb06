"""The sections of the settings: every key, what it may be, its default, and what it does."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,11}/(second|minute|hour|day)$", examples=["600/minute"])]
_Unshown = Annotated[str, Field(repr=False)]  # it may hold a password


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class ServerSettings(Section):
    host: str = "127.0.0.1"
    """Address that the API listens on; put a buffering proxy in front before this is a public one."""
    port: Port = 8000
    """Port of the API."""
    metrics_port: Port = 9464
    """Port that answers ``GET /metrics`` and nothing else, on the same address."""
    workers: Annotated[int, Field(ge=0, le=512)] = 0
    """Worker processes; 0 takes one per CPU that the process may use, fewer when memory is short."""
    threads: Annotated[int, Field(ge=1, le=512)] = 64
    """Requests that a worker has in threads at once, each made when it is first needed; with ``inplace`` most
    predictions need none. Inference is bounded by ``inference.max_concurrent_runs``; callers that wait can share a
    run."""
    worker_class: str = "inplace"
    """Gunicorn worker class: ``inplace`` (threads, and quick requests without one), ``gthread`` (threads alone) or
    ``granian`` (an engine in Rust; needs the extra ``granian``, and does not keep every promise)."""
    header_timeout_seconds: Seconds = 10.0
    """Time a client has to send its whole header block; then 408."""
    body_timeout_seconds: Seconds = 30.0
    """Time a client has to send its whole body; then 408."""
    request_deadline_seconds: Seconds = 30.0
    """Time from the first byte of a request to its answer; then 504."""
    keep_alive_seconds: Count = 75
    """Time an idle connection is kept; longer than the idle time-out of the load balancer in front."""
    start_timeout_seconds: Seconds = 300.0
    """Time that a worker has to import, load and warm up everything; one that takes longer is killed and another begun,
    and a reload that made it is refused."""
    graceful_timeout_seconds: Count = 30
    """Time that requests in flight have to finish when a worker is told to stop."""
    body_limit_bytes: Count = 16 * 1024 * 1024
    """Largest body, as sent and after decompression; more is 413."""
    max_requests: Annotated[int, Field(ge=0)] = 0
    """Requests after which a worker is replaced, to bound slow leaks; 0 never."""
    max_requests_jitter: Annotated[int, Field(ge=0)] = 0
    """Random part added to ``max_requests`` so that workers are not replaced together."""
    publish_models: bool = True
    """Whether the public OpenAPI document names the served models and their features."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose ``X-Forwarded-For`` is believed; none by default."""
    connections_per_address: Annotated[int, Field(ge=0)] = 512
    """Connections that one address (an IPv6 network of 64 bits) may hold open to one worker; more are closed at once.
    Trusted proxies are not counted; 0 bounds nobody."""
    tls_certificate: str = ""
    """PEM file of the server's certificate and its chain, absolute or under the home; empty: plain HTTP. It is read
    again when it changes. The metrics port always speaks plain HTTP."""
    tls_key: str = ""
    """PEM file of the certificate's private key, not encrypted, mode 0600 or 0640; empty: it is in the certificate's
    file."""
    tls_client_ca: str = ""
    """PEM file of the authorities whose client certificates are believed."""
    tls_client_certificates: Literal["none", "optional", "required"] = "none"
    """Whether clients are asked for a certificate, and served without one."""
    tls_client_revocations: str = ""
    """PEM file of the revocation lists of those authorities, read again when it changes: from then on nobody connects
    with a certificate that one of them names. Each authority that issues to clients needs one that has not ended;
    empty: no certificate is revoked."""

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return _listed(value)

    @field_validator("trusted_proxies")
    @classmethod
    def _name_addresses(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for proxy in proxies:
                ip_network(proxy)
        except ValueError as error:
            remedy = "name proxies by their addresses, or by networks such as 10.0.0.0/8"
            raise ValueError(f"{error}; {remedy}") from None
        return proxies

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if not self.tls_certificate and (self.tls_key or self.tls_client_ca or self.tls_client_certificates != "none"):
            raise ValueError("tls_certificate is missing, and without it nothing is encrypted")
        if (self.tls_client_certificates == "none") != (not self.tls_client_ca):
            raise ValueError("tls_client_ca and tls_client_certificates (optional or required) go together")
        if self.tls_client_revocations and not self.tls_client_ca:
            raise ValueError("tls_client_revocations needs tls_client_ca, the authorities whose lists they are")
        return self


class DatabaseSettings(Section):
    url: _Unshown = ""
    """SQLAlchemy URL, for example ``postgresql+psycopg://user:password@host/name``; empty: SQLite in the home."""
    timeout_seconds: Seconds = 2.0
    """Time to wait for a connection or a lock."""
    on_storage_error: Literal["serve", "refuse"] = "serve"
    """When the database cannot be reached, so that what was revoked on other machines cannot be seen: go on with what
    this machine knows (``serve``), or answer 503 to every token within 3 seconds (``refuse``)."""


class AuditSettings(Section):
    max_lines: Annotated[int, Field(ge=0)] = 1_000_000
    """Lines of the audit trail that stay in the database; the oldest of more go to files in ``audit/`` in the home,
    and only then from the database. 0: all stay."""
    max_days: Annotated[int, Field(ge=0)] = 0
    """Days that a line stays in the database before it goes to a file; 0: any time."""


class StateSettings(Section):
    url: _Unshown = ""
    """Where quotas are counted: empty (LMDB in the home, all workers of one machine), ``redis://…`` or ``valkey://…``
    (several machines), or ``memory://`` (one worker only)."""
    timeout_seconds: Seconds = 0.25
    """Time to wait for Redis or Valkey."""
    size_bytes: Annotated[int, Field(ge=1024 * 1024)] = 64 * 1024 * 1024
    """Largest size of the LMDB file."""

    @property
    def is_elsewhere(self) -> bool:
        """Whether quotas are counted on another machine."""
        return self.url.startswith(("redis", "valkey"))


class InferenceSettings(Section):
    max_rows: Count = 10_000
    """Largest number of rows in one request."""
    max_concurrent_runs: Annotated[int, Field(ge=0)] = 0
    """Model runs at once per worker; 0 takes the worker's share of the CPUs."""
    max_waiting: Count = 128
    """Requests of one worker that may wait for a run; more are answered 503, and as long as more come, fewer may wait:
    two runs' worth of each model, so that who waits is answered soon."""
    threads_per_run: Count = 1
    """Threads that one run may use."""
    architectures: tuple[str, ...] = ()
    """Networks that PyTorch may build for packages that it runs itself: names of entry points of the group
    ``secure_ml_api.architectures``. What is not named here is never imported."""
    runtimes: tuple[str, ...] = ()
    """Names of runtimes that others wrote and that may be loaded, from the entry points of installed distributions;
    the built-in ones need no mention. Nothing of any other is imported."""
    run_limit_seconds: Seconds = 60.0
    """Time after which a run is taken to hang: its worker is replaced once another serves, and finishes what its other
    callers asked. Callers of that run were answered 504 at their deadlines."""
    max_abandoned_runs: Annotated[int, Field(ge=0)] = 4
    """Runs of one worker that may go on, without a place, although all their callers were answered 504; beyond, a run
    keeps its place until it ends."""

    @field_validator("architectures", "runtimes", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return _listed(value)


class ModelsSettings(Section):
    watch_seconds: Annotated[float, Field(ge=0)] = 0.0
    """How often each worker looks whether versions came, went or were promoted by anything but this program's own
    commands, which tell it; 0 never."""


class BatchingSettings(Section):
    enabled: Literal["auto", "always", "never"] = "auto"
    """Whether the rows of concurrent callers are merged into one run: for models that it pays for, as measured at start
    (``auto``), for all that allow it (``always``), or for none (``never``). A model's manifest may say never itself."""
    max_batch_rows: Count = 128
    """Most rows of one merged run; a request with more runs alone. A model's manifest may say otherwise."""
    max_delay_seconds: Annotated[float, Field(ge=0)] = 0.0
    """How long a run that is not full waits for more rows; 0 never waits. A model's manifest may say otherwise."""


class DriftSettings(Section):
    enabled: bool = True
    """Whether the rows of callers are compared with the sample of the model's package, feature by feature."""
    rows_per_second: Annotated[int, Field(ge=1, le=100_000)] = 500
    """Most rows of one model that a worker looks at in a second."""
    window_seconds: Seconds = 3600.0
    """How long a row counts."""
    min_rows: Count = 500
    """Rows in the window, of all workers, below which nothing is said."""


class TelemetrySettings(Section):
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is logged."""
    access_log: bool = True
    """One line per answered request."""
    tracing: bool = False
    """Whether requests are traced with OpenTelemetry; needs the extra ``otel``. What is off costs nothing."""
    otlp_endpoint: Annotated[str, Field(pattern=r"^https?://[^\s@/?#]+[^\s@?#]*$")] = "http://127.0.0.1:4318"
    """Base URL of the collector: spans go to ``v1/traces`` under it, in OTLP over HTTP. A credential for it goes into
    the environment, as ``OTEL_EXPORTER_OTLP_HEADERS``."""
    trace_sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1
    """The part of the traces begun here that is recorded: one that is costs more than a small prediction. Where a
    caller's trace goes on, the caller decides."""
    trace_callers: Literal["continue", "link"] = "continue"
    """What a caller's ``traceparent`` does: the caller's trace goes on here (``continue``), or one of our own begins,
    recorded by our own ratio, with a link to the caller's (``link``: for callers who are not trusted)."""
    service_name: Annotated[str, Field(min_length=1)] = "secure-ml-api"
    """``service.name`` of the spans."""
    resource_attributes: tuple[Annotated[str, Field(pattern=r"^[^\s=,]+=[^,]+$")], ...] = ()
    """More attributes of the service, as ``key=value``: ``deployment.environment.name=production``."""

    @field_validator("resource_attributes", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return _listed(value)


class FastLaneSettings(Section):
    enabled: bool = True
    """Answer the predict routes in front of Flask; off, Flask answers them with the same bytes."""


def _listed(value: object) -> object:
    """A comma-separated string, as an environment variable holds it, split into its parts."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
