"""Pages of the documentation, done as a reader does them: each block in its order, in one terminal and one notebook.

Blocks of ``bash`` go to one shell and blocks of ``python`` to one interpreter, which keep what earlier blocks made;
both work in one folder. A block ``text output`` after one of them says what it wrote to stdout, as far as that matters:
``…`` stands for anything, and numbers with a decimal point may differ by a fiftieth.
"""

from __future__ import annotations

import math
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from .needs import free_port

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<info>[^`\n]*)$")
_DECIMAL = re.compile(r"(?<![\w.])-?\d+\.\d+(?:e-?\d+)?(?![\w.])")
_EXTRAS = re.compile(r"secure-ml-api\[([a-z,]+)\]")
_FRAMEWORKS = {"torch", "tensorflow"}
_BLOCK_SECONDS = 90.0
_STOP_SECONDS = 10.0
_OUTPUT_BYTES = 1_000_000

# Each block is a file. When it is done a line goes to the descriptor that is the last argument; what fails ends, and
# nothing that a block leaves running has that descriptor, so then there is no line but an end.
_SHELL = """
set -eo pipefail
status=$1
while read -r file; do
    . "$file" </dev/null {status}>&-
    echo >&"$status"
done
"""
_INTERPRETER = """
import os, sys
names = {"__name__": "__main__"}
for line in sys.stdin:
    file = line.rstrip("\\n")
    exec(compile(open(file).read(), file, "exec"), names)
    os.write(int(sys.argv[1]), b"\\n")
"""
_SESSIONS = {
    "bash": ("bash", "--noprofile", "--norc", "-c", _SHELL, "bash"),
    "python": (sys.executable, "-u", "-c", _INTERPRETER),
}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its info string in words, the line of the page on which its text begins, and the text."""

    info: tuple[str, ...]
    line: int
    text: str

    @property
    def language(self) -> str:
        return self.info[0] if self.info else ""


class PageFailed(AssertionError):
    """A block did not do what its page says; the message has the page, the line and what was printed."""


def blocks_of(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order; raises ValueError for one that does not end."""
    lines = page.splitlines()
    at = 0
    while at < len(lines):
        opened = _FENCE.match(lines[at])
        at += 1
        if opened is None:
            continue
        first, indent, fence = at, opened["indent"], opened["fence"]
        while at < len(lines) and lines[at].strip() != fence:
            at += 1
        if at == len(lines):
            raise ValueError(f"line {first}: the block does not end")
        text = "".join(f"{line.removeprefix(indent)}\n" for line in lines[first:at])
        yield Block(tuple(opened["info"].split()), first + 1, text)
        at += 1


def differs(told: str, printed: str) -> str | None:
    """The first line of ``told`` that was not printed where it should have been; None when all were.

    Lines that the page does not tell may stand only where it has a line of ``…``.
    """
    left = [" ".join(line.split()) for line in printed.splitlines() if line.strip()]
    anything = False
    for line in (" ".join(line.split()) for line in told.splitlines() if line.strip()):
        if line == "…":
            anything = True
            continue
        while anything and left and not _alike(line, left[0]):
            left.pop(0)
        if not left or not _alike(line, left.pop(0)):
            return line
        anything = False
    return None if anything or not left else f"the end, before: {left[0]}"


def _alike(told: str, printed: str) -> bool:
    parts = [re.escape(part) for part in _DECIMAL.sub("\0", told).split("…")]
    pattern = ".*".join(parts).replace(re.escape("\0"), f"({_DECIMAL.pattern})")
    found = re.fullmatch(pattern, printed)
    wanted = _DECIMAL.findall(told)
    return found is not None and all(
        math.isclose(float(one), float(other), rel_tol=0.02, abs_tol=1e-6)
        for one, other in zip(wanted, found.groups(), strict=True)
    )


class PageRun:
    """``with PageRun(page, folder) as run: run.all()``: at the end everything that the page started is stopped.

    Where the page has a server's usual ports it gets free ones. What it installs is what is installed here, but of the
    large frameworks it has those alone whose extras it names: others are imported as soon as they are there.
    """

    def __init__(self, page: Path, folder: Path) -> None:
        self._page = page
        self._folder = folder
        self._ports = {"8000": free_port(), "9464": free_port()}
        self._sessions: dict[str, _Session] = {}

    def all(self) -> None:
        """Do every block of the page; raises PageFailed at the first that fails or prints something else."""
        before: tuple[Block, str] | None = None
        for block in blocks_of(self._page.read_text("utf-8")):
            if block.language in ("bash", "python"):
                before = block, self._do(block)
            elif block.info == ("text", "output"):
                if before is None:
                    raise PageFailed(f"{self._page.name}:{block.line}: output of no block")
                wrong = differs(block.text, before[1])
                if wrong is not None:
                    raise PageFailed(f"{self._page.name}:{block.line}: not printed: {wrong}\n\n{before[1]}")
                before = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for session in self._sessions.values():
            session.end()

    def _do(self, block: Block) -> str:
        file = self._folder / f".{self._page.name}.{block.language}"
        text = re.sub(r"(?<=:)(8000|9464)\b", lambda port: str(self._ports[port[0]]), block.text)
        # So that errors name the line of the page.
        file.write_text("\n" * (block.line - 1) + text)
        session = self._sessions.get(block.language)
        if session is None:
            session = _Session(_SESSIONS[block.language], self._folder, self._environ())
            self._sessions[block.language] = session
        done, printed, complained = session.do(file)
        if not done:
            raise PageFailed(f"{self._page.name}:{block.line}: the block failed\n\n{text}\n{printed}{complained}")
        return printed

    def _environ(self) -> dict[str, str]:
        hidden = self._folder / ".hidden"
        hidden.mkdir(exist_ok=True)
        named = {extra for extras in _EXTRAS.findall(self._page.read_text("utf-8")) for extra in extras.split(",")}
        for framework in _FRAMEWORKS - named:
            (hidden / f"{framework}.py").write_text("raise ModuleNotFoundError(__name__, name=__name__)\n")
        ours = {name: value for name, value in os.environ.items() if not name.startswith("SECURE_ML_API_")}
        return {
            **ours,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": str(hidden),
            "SECURE_ML_API_SERVER__PORT": str(self._ports["8000"]),
            "SECURE_ML_API_SERVER__METRICS_PORT": str(self._ports["9464"]),
            "SECURE_ML_API_SERVER__WORKERS": "2",
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }


class _Session:
    """A process that does one block after the other; it is told on its stdin which file is next."""

    def __init__(self, command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
        name = Path(command[0]).name
        self._printed = (folder / f".{name}.stdout").open("w+b")
        self._complained = (folder / f".{name}.stderr").open("w+b")
        self._status, status = os.pipe()
        self._life, life = os.pipe()  # has an end when nothing lives any more that the session started
        try:
            self._process = subprocess.Popen(
                [*command, str(status)],
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.PIPE,
                stdout=self._printed,
                stderr=self._complained,
                pass_fds=[status, life],
                process_group=0,
            )
        finally:
            os.close(status)
            os.close(life)

    def do(self, file: Path) -> tuple[bool, str, str]:
        """Whether the block in ``file`` came to its end, and what it wrote to stdout and to stderr."""
        assert self._process.stdin is not None
        starts = [os.fstat(stream.fileno()).st_size for stream in (self._printed, self._complained)]
        with suppress(BrokenPipeError):  # it has ended, which is noticed below
            self._process.stdin.write(f"{file}\n".encode())
            self._process.stdin.flush()
        ready, _, _ = select.select([self._status], [], [], _BLOCK_SECONDS)
        done = bool(ready) and os.read(self._status, 1) == b"\n"
        printed, complained = (
            os.pread(stream.fileno(), _OUTPUT_BYTES, start).decode(errors="replace")
            for stream, start in zip((self._printed, self._complained), starts, strict=True)
        )
        return done, printed, complained if ready else f"{complained}\n(not done after {_BLOCK_SECONDS:.0f} s)"

    def end(self) -> None:
        """Kill it and all that it started; returns when nothing of that lives any more."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        select.select([self._life], [], [], _STOP_SECONDS)
        self._process.wait(10)
        self._printed.close()
        self._complained.close()
        os.close(self._status)
        os.close(self._life)
