"""``models pack``: a trained model, or the file of one, becomes a signed package of the home."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import PackingError
from ..models.manifest import FileRecord, Manifest
from ..models.names import is_plain
from ..models.reference import Reference
from ..models.sample import SAMPLE_FILE, read_sample
from ..models.store import Store
from .build import Built, build
from .extras import require_train_extra
from .isolation import convert_apart
from .job import Job
from .natives import MODEL_FILES
from .networks.files import estimator_of, matrix_of
from .networks.network import Network
from .options import Options
from .source_file import format_of
from .table import Table


@dataclass(frozen=True, slots=True)
class PackResult:
    """A package that was signed, put in place, read back and verified."""

    directory: Path
    digest: str
    manifest: Manifest
    truths: tuple[str, ...] = ()
    """Features whose sample has truth values, which callers send as 1 and 0."""


def pack(
    source: Path,
    *,
    store: Store,
    name: str,
    sample: Path,
    version: str | None = None,
    trust_pickle: bool = False,
    options: Options | None = None,
) -> PackResult:
    """Pack the trained model in the file ``source``, proven on the rows in ``sample`` (CSV with a header, or Parquet).

    The file is a skops file or, with ``trust_pickle``, a pickle or joblib file; either is read in a child process that
    hands back the converted model. Raises PackingError, PackageRefused or KeyFileError.
    """
    check_name(store, name, version)
    require_train_extra()
    options = options or Options()
    job = Job(
        source=source.absolute(),
        source_format=format_of(source, trust_pickle=trust_pickle),
        sample=sample.absolute(),
        options=options,
    )
    return publish(convert_apart(job), options, store=store, name=name, version=version)


def pack_estimator(
    estimator: Any,
    sample: Table,
    *,
    store: Store,
    name: str,
    version: str | None = None,
    options: Options | None = None,
) -> PackResult:
    """Pack a fitted scikit-learn model that is in memory; raises PackingError, PackageRefused or KeyFileError."""
    check_name(store, name, version)
    require_train_extra()
    options = options or Options()
    return publish(build(estimator, sample, options), options, store=store, name=name, version=version)


def pack_network(
    network: Network,
    sample: Table,
    *,
    store: Store,
    name: str,
    version: str | None = None,
    options: Options | None = None,
) -> PackResult:
    """Pack a trained network that is in memory; raises PackingError, PackageRefused or KeyFileError.

    ``network`` is ``TorchNetwork(module)`` or ``KerasNetwork(model)`` of ``packaging.networks``. What it does is told
    from its outputs where ``options.task`` does not say it.
    """
    check_name(store, name, version)
    require_train_extra()
    options = options or Options()
    estimator = estimator_of(network, matrix_of(sample), options)
    return publish(build(estimator, sample, options), options, store=store, name=name, version=version)


def check_name(store: Store, name: str, version: str | None) -> None:
    """Raises PackingError before any work when the name or version cannot be used or is taken."""
    rule = "use up to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"
    if not is_plain(name):
        raise PackingError(f"{name!r} cannot name a model; {rule}")
    if version is not None and not is_plain(version):
        raise PackingError(f"{version!r} cannot be a version; {rule}")
    if version is not None and version in store.versions(name):
        raise PackingError(f"{name}/{version} exists and is never overwritten; choose another version, or give none")


def publish(built: Built, options: Options, *, store: Store, name: str, version: str | None) -> PackResult:
    """Sign what was built and put it into the home, as the next version unless one is given."""
    files = {MODEL_FILES[built.blueprint.runtime]: built.model, SAMPLE_FILE: built.sample}
    version = version or store.next_version(name)
    signature = built.blueprint.signature
    manifest = Manifest(
        name=name,
        version=version,
        created=datetime.now(UTC).replace(microsecond=0),
        runtime=built.blueprint.runtime,
        signature=signature,
        files={file: FileRecord.of(data) for file, data in files.items()},
        provenance=built.blueprint.provenance,
        parity=built.blueprint.parity,
        timings=built.blueprint.timings,
        description=options.description,
        training_data=options.training_data,
        metrics=options.metrics,
        reference=Reference.of(read_sample(built.sample, signature).inputs, signature),
    )
    package = store.publish(manifest, files)
    directory = store.models_directory / name / version
    return PackResult(directory, package.artifact.digest, package.manifest, built.blueprint.truths)
