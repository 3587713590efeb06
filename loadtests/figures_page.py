"""Commands that measure for some minutes and write what they found into a page, between two marks."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .compare.generator import require_tools
from .compare.trouble import CompareError, Unfit
from .server import LoadtestError, prepare

END = "<!-- end of figures -->"
_DOCS = Path(__file__).resolve().parents[1] / "docs"


@dataclass(frozen=True, slots=True)
class Bench:
    """Cores and lengths of the runs, and where servers may write."""

    server_cores: frozenset[int]
    generator_core: int
    seconds: int
    repeats: int
    directory: Path
    say: Callable[[str], None]

    def home(self, given: Path | None) -> Path:
        """A home with the example models, a copy of ``given`` or a new one; raises LoadtestError."""
        made = self.directory / "home"
        if given is None:
            self.say("training the example models")
            prepare(made)
        else:
            shutil.copytree(given, made, ignore=shutil.ignore_patterns("run"))
        return made

    def about(self, shared: str, *more: str) -> str:
        """When, on what and how often was measured; ``shared`` says who has the cores, and ``more`` what ran."""
        machine = f"{len(self.server_cores)} cores that {shared}, Linux {platform.release()}"
        when = f"{datetime.now(UTC):%Y-%m-%d}, {machine}, Python {platform.python_version()}"
        runs = f"{self.repeats} runs of {self.seconds} s of each, in turns, medians."
        return "; ".join([when, *more, runs])


@dataclass(frozen=True, slots=True)
class FiguresPage:
    """``docs/NAME`` with the figures of ``python -m loadtests.COMMAND``; all else on it is as people left it."""

    command: str
    name: str

    @property
    def path(self) -> Path:
        return _DOCS / self.name

    @property
    def mark(self) -> str:
        return f"<!-- figures: python -m loadtests.{self.command} -->"

    def with_figures(self, page: str, figures: str) -> str:
        """``page`` with ``figures`` between the marks; raises ValueError when it lacks them."""
        before, begin, rest = page.partition(self.mark)
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise ValueError(f"the page lacks its marks {self.mark} and {END}")
        return f"{before}{begin}\n\n{figures}\n\n{end}{after}"

    def run(self, arguments: Sequence[str] | None, what: str, measure: Callable[[Bench, Path | None], str]) -> int:
        """Parse ``arguments``, ``measure`` with the home that they name, print and write the figures.

        Exit code: 0, or 1 when something did not start or one answer was an error.
        """
        options = self._options(arguments, what)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every server is stopped
        began = time.monotonic()

        def say(line: str) -> None:
            print(f"[{time.monotonic() - began:5.0f} s] {line}", flush=True)

        cores = sorted(os.sched_getaffinity(0))
        try:
            require_tools()
            with tempfile.TemporaryDirectory(prefix=f"{self.command}-") as directory:
                bench = Bench(frozenset(cores), cores[0], options.seconds, options.repeats, Path(directory), say)
                figures = measure(bench, options.home)
        except (CompareError, LoadtestError, Unfit, OSError) as error:
            print(f"{self.command}: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        print(f"\n{figures}")
        if not options.dry:
            self.path.write_text(self.with_figures(self.path.read_text("utf-8"), figures), "utf-8")
            print(f"\nwritten: {self.path}")
        return 0

    def _options(self, arguments: Sequence[str] | None, what: str) -> argparse.Namespace:
        parser = argparse.ArgumentParser(prog=f"python -m loadtests.{self.command}", description=what)
        parser.add_argument("--seconds", type=int, default=6, help="length of a run (%(default)s)")
        parser.add_argument("--repeats", type=int, default=5, help="runs of each (%(default)s)")
        parser.add_argument("--home", type=Path, help="home with the example models, which is copied; else a new one")
        parser.add_argument("--dry", action="store_true", help=f"leave docs/{self.name} as it is")
        options = parser.parse_args(arguments)
        if options.seconds < 1 or options.repeats < 1:
            parser.error("--seconds and --repeats are whole numbers above 0")
        return options
