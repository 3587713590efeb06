"""The converting process: the only one that ever holds a model from a file as an object.

``python -P -m secure_ml_api.packaging.child DIRECTORY`` reads ``job.json`` there and leaves the blueprint, the
model and the sample beside it, or ``refusal.txt`` with the one line that explains why not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ..errors import OperatorError
from ..models.sample import SAMPLE_FILE
from .build import build
from .describe import align
from .encoders import categories_of
from .extras import quiet
from .job import BLUEPRINT_FILE, JOB_FILE, REFUSAL_FILE, Job
from .natives import MODEL_FILES
from .networks.files import read_network
from .prose import prose_columns
from .sample_file import read_sample_file
from .source_file import NETWORKS, digest_of, read_source


def convert(directory: Path) -> None:
    """Do the job in ``directory``; raises OperatorError."""
    job = Job.model_validate_json((directory / JOB_FILE).read_bytes())
    with quiet():
        sample = read_sample_file(job.sample)
        if job.source_format in NETWORKS:
            estimator: Any = read_network(job.source, job.source_format, sample, job.options)
        else:
            estimator = read_source(job.source.read_bytes(), job.source_format)
        names = align(estimator, sample, job.options.target).names
        # Codes such as "01" look like numbers; where the model was trained on text, they stay text.
        text = {known.column for known in categories_of(estimator, names).values() if known.is_text}
        text |= prose_columns(estimator, names)
        if any(not sample.is_text(name) for name in text):
            sample = read_sample_file(job.sample, text=text)
    built = build(
        estimator,
        sample,
        job.options,
        source=job.source_format,
        source_sha256=digest_of(job.source),
        sample_sha256=digest_of(job.sample),
    )
    (directory / MODEL_FILES[built.blueprint.runtime]).write_bytes(built.model)
    (directory / SAMPLE_FILE).write_bytes(built.sample)
    (directory / BLUEPRINT_FILE).write_text(built.blueprint.model_dump_json(), "utf-8")


def main(directory: Path) -> int:
    """Exit status: 0, or 1 with the reason in ``refusal.txt``."""
    try:
        convert(directory)
    except OperatorError as refused:
        (directory / REFUSAL_FILE).write_text(str(refused), "utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
