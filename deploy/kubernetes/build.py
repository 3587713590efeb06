"""Writes the rules of deploy/prometheus as the Prometheus operator takes them: `python deploy/kubernetes/build.py`."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
RULES = HERE.parent / "prometheus" / "rules"
MADE = HERE / "overlays" / "production" / "prometheusrule.yaml"
HEAD = """\
# Made of deploy/prometheus/rules by deploy/kubernetes/build.py: change those, and run it.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: secure-ml-api
spec:
  groups:
"""


def prometheus_rule() -> str:
    """The object, as text: the groups of all rule files one after the other, in their own words."""
    parts = [HEAD]
    for path in (RULES / "recording.yml", RULES / "alerts.yml"):
        _, groups = path.read_text("utf-8").split("groups:\n", 1)
        parts += [f"  {line}" if line.strip() else line for line in groups.splitlines(keepends=True)]
    return "".join(parts)


if __name__ == "__main__":
    MADE.write_text(prometheus_rule(), "utf-8")
