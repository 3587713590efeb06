"""Colours and type of every picture, and how it begins: light, or dark where the reader's screen is."""

from __future__ import annotations

from html import escape

STYLE = """
  svg { background: #ffffff; color: #1f2933; font: 13px system-ui, sans-serif; }
  svg text { fill: #1f2933; } svg .unit, svg .value { fill: #52606d; } svg .title { font-weight: 600; }
  .ours { fill: #0b6e4f; } .other { fill: #9aa5b1; } .failed { fill: #a61b1b; } .refused { fill: #d69e2e; }
  .grid { stroke: #d9dee4; stroke-width: 1; } .axis { stroke: #9aa5b1; stroke-width: 1; }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
  .p50 { stroke: #0b6e4f; } .p95 { stroke: #2f80c2; } .p99 { stroke: #8d99a6; }
  .grey { stroke: #52606d; } .ray { stroke: #9aa5b1; stroke-dasharray: 2 5; }
  .mark { fill: none; stroke: #a61b1b; stroke-width: 2; } .band { fill: #f2f5f7; }
  svg text.p50 { fill: #0b6e4f; stroke: none; } svg text.p95 { fill: #2f80c2; stroke: none; }
  svg text.p99 { fill: #6b7785; stroke: none; } svg text.knee { fill: #a61b1b; font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    svg { background: #15191e; } svg text { fill: #e4e7eb; } svg .unit, svg .value { fill: #b3bdc7; }
    .ours { fill: #3ebd93; } .other { fill: #616e7c; } .failed { fill: #f29b9b; } .refused { fill: #f0c05a; }
    .grid { stroke: #2a313a; } .axis { stroke: #616e7c; } .band { fill: #1c2229; }
    .p50 { stroke: #3ebd93; } .p95 { stroke: #7cc0f0; } .p99 { stroke: #8d99a6; }
    .grey { stroke: #b3bdc7; } .ray { stroke: #616e7c; } .mark { stroke: #f29b9b; }
    svg text.p50 { fill: #3ebd93; } svg text.p95 { fill: #7cc0f0; } svg text.p99 { fill: #b3bdc7; }
    svg text.knee { fill: #f29b9b; }
  }
"""


def svg(width: int, height: float, label: str, parts: str) -> str:
    """A picture that stands alone."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}"'
        f' height="{height:.0f}" role="img" aria-label="{escape(label)}">\n<style>{STYLE}</style>\n{parts}</svg>\n'
    )
