"""Nothing is told to the makers of the libraries that run models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from secure_ml_api.runtimes.onnx import MODEL_FILE

OPEN_A_MODEL = f"""
import sys
from pathlib import Path
from secure_ml_api.models.store import Store
from secure_ml_api.runtimes.onnx import open_graph
from secure_ml_api.settings import read_settings
settings = read_settings(Path(sys.argv[1]), {{}})
package = Store.of(settings).verify("iris", "1")
open_graph(package.artifact.files["{MODEL_FILE}"], package.artifact.signature)
"""
OPTIMISE_A_MODEL = f"""
import sys
from pathlib import Path
from secure_ml_api.packaging.optimised import optimised
optimised((Path(sys.argv[1]) / "models" / "iris" / "1" / "{MODEL_FILE}").read_bytes())
"""


def run_at(home_of_user: Path, script: str, *arguments: str) -> str:
    """What ``script`` prints for a user whose files are in ``home_of_user``, and who has not said that this is CI."""
    home_of_user.mkdir()
    environ = {"PATH": os.environ["PATH"], "HOME": str(home_of_user)}
    command = [sys.executable, "-c", script, *arguments]
    finished = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def left_in(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def test_onnxruntime_left_alone_identifies_the_machine(tmp_path: Path) -> None:
    """If this fails its makers have mended it, or keep it elsewhere, and the tests below show nothing any more."""
    run_at(tmp_path / "user", "import onnxruntime")
    assert any("deviceid" in path for path in left_in(tmp_path / "user"))


@pytest.mark.parametrize("script", [OPEN_A_MODEL, OPTIMISE_A_MODEL], ids=["serving", "packing"])
def test_what_onnxruntime_would_tell_its_makers_is_never_gathered(
    script: str, prepared_home: Path, tmp_path: Path
) -> None:
    run_at(tmp_path / "user", script, str(prepared_home))
    assert left_in(tmp_path / "user") == []
