from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "serve_your_own.py"


def test_the_example_goes_the_whole_way_from_a_table_to_an_authenticated_prediction() -> None:
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, check=True, timeout=110)
    pairs = re.findall(r"served ([\d.]+), trained model ([\d.]+)", done.stdout)
    assert len(pairs) == 3
    assert all(abs(float(served) - float(trained)) < 0.01 for served, trained in pairs)
    assert "packed diabetes/1" in done.stdout
    assert done.stderr == ""
