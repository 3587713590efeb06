"""One run over all profiles."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ..figures_page import Bench, FiguresPage
from ..server import registered_client
from .document import table
from .measure import DEFAULT, Sample, fetch_token, middle, sample, serving
from .works import WORKS, Work

PAGE = FiguresPage("profiles", "tuning.md")
_GUNICORN = Path(__file__).resolve().parents[2] / "deploy" / "gunicorn"
PROFILES = {path.stem: path for path in sorted(_GUNICORN.glob("*.toml"))}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code; see ``FiguresPage.run``."""
    return PAGE.run(arguments, "Measure the tuning profiles beside the defaults, in turns.", _figures)


def _figures(bench: Bench, home: Path | None) -> str:
    found = _measure(bench, bench.home(home))
    return "\n\n".join([bench.about("servers and wrk share"), *(table(work, each) for work, each in found.items())])


def _measure(bench: Bench, home: Path) -> dict[Work, dict[str, Sample]]:
    """The medians of each work and profile; every server stands by while the others are asked."""
    found: dict[Work, dict[str, list[Sample]]] = {work: {} for work in WORKS}
    with ExitStack() as stack:
        client = stack.enter_context(registered_client(home))
        servers = {}
        for name, profile in {DEFAULT: None, **PROFILES}.items():
            bench.say(f"starting {name}")
            server = stack.enter_context(serving(bench, home, name, profile))
            servers[name] = (server, fetch_token(server.port, *client))
        for work in WORKS:
            for repeat in range(bench.repeats):
                for name, (server, token) in servers.items():
                    seen = sample(bench, server, token, work)
                    found[work].setdefault(name, []).append(seen)
                    bench.say(
                        f"{work.key} {repeat + 1}: {name}: {seen.per_second:.0f} a second, p99 {seen.p99_ms:.1f} ms"
                    )
    return {work: {name: middle(samples) for name, samples in each.items()} for work, each in found.items()}
