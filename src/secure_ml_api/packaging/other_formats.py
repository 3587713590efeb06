"""Packages in the format of any runtime, from files that are already in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from ..errors import PackageRefused, PackingError
from ..models.manifest import FileRecord, Manifest, ParityReport, Provenance
from ..models.parity import ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE
from ..models.recheck import recheck
from ..models.sample import SAMPLE_FILE, Sample, write_sample
from ..models.store import Store
from ..models.verification import VerifiedPackage
from ..runtimes.protocol import Runtime, VerifiedArtifact
from ..tensors import Signature
from .pack import check_name


def pack_files(
    files: Mapping[str, bytes],
    *,
    runtime: Runtime,
    signature: Signature,
    sample: Sample,
    store: Store,
    name: str,
    version: str | None = None,
    trained: str = "files",
) -> VerifiedPackage:
    """Sign ``files`` as the next version of ``name``, once ``runtime`` has loaded them and answered ``sample``.

    ``sample`` holds rows and what the trained model, of the kind ``trained``, answers to them. Raises PackingError, or
    PackageRefused when the files do not load or answer otherwise.
    """
    check_name(store, name, version)
    if SAMPLE_FILE in files:
        raise PackingError(f"{SAMPLE_FILE} is where the sample is kept; give the file another name")
    version = version or store.next_version(name)
    try:
        session = runtime.load(VerifiedArtifact(name, version, signature, dict(files), "sha256:unsigned"), 1)
        shown = recheck(session, sample, signature)
    except PackageRefused as refused:
        raise PackageRefused(f"{name} is not packed: {refused}") from None
    parity = ParityReport(
        sample_rows=sample.rows,
        generated_rows=0,
        near_ties=0,
        differing_near_ties=0,
        largest_differences=shown.largest_differences,
        relative_tolerance=RELATIVE_TOLERANCE,
        absolute_tolerance=ABSOLUTE_TOLERANCE,
    )
    kept = {**files, SAMPLE_FILE: write_sample(sample, signature)}
    graph = f"in the format of {runtime.name}"
    manifest = Manifest(
        name=name,
        version=version,
        created=datetime.now(UTC).replace(microsecond=0),
        runtime=runtime.name,
        signature=signature,
        files={file: FileRecord.of(data) for file, data in kept.items()},
        provenance=Provenance(source="estimator", estimator=trained, graph=graph, libraries={}),
        parity=parity,
    )
    return store.publish(manifest, kept)
