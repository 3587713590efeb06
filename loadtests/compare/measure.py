"""The measuring itself: contenders take turns (A B C A B C …), so that all share a change of the machine's pace."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from .bench import Bench, Stand, stand
from .generator import Load, send
from .models import Model, Question, ask
from .results import CPU_US, OTHERS, P50_MS, P99_MS, PER_SECOND, PSS_MIB, READY_S, Outcome, Result, Sample
from .trouble import CompareError, Unfit
from .workloads import Contender, Workload

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Enough callers that each of four workers gets some while the others are busy.
_MEMORY_CONNECTIONS = 32
_MIB = 1024 * 1024


def measure(workload: Workload, bench: Bench, model: Model) -> Outcome:
    """All contenders of ``workload``; one that fails is left out from then on, with the reason in its result."""
    results = {contender: Result(contender.label) for contender in workload.contenders}
    question = ask(model, workload.rows)
    if workload.kind == "throughput":
        _throughput(workload, bench, model, question, results)
    else:
        take = _memory if workload.kind == "memory" else _time_to_ready
        for repeat in range(1 if workload.kind == "memory" else bench.repeats):
            for contender, result in results.items():
                if not result.trouble:
                    bench.say(f"{workload.key}: starting {contender.label}")
                    _try(bench, workload, repeat, result, lambda c=contender: take(bench, c, model, question))  # type: ignore[misc]
    return Outcome(workload, list(results.values()))


def _throughput(
    workload: Workload, bench: Bench, model: Model, question: Question, results: dict[Contender, Result]
) -> None:
    with ExitStack() as stack:
        stands: list[tuple[Stand, Result]] = []
        for contender, result in results.items():
            bench.say(f"{workload.key}: starting {contender.label}")
            try:
                opened = stack.enter_context(stand(bench, contender, model, question, {bench.server_core}))
                stands.append((opened, result))
            except (Unfit, CompareError) as trouble:
                _fail(bench, workload, result, trouble)
        for repeat in range(bench.repeats):
            for ready, result in stands:
                if not result.trouble:
                    _try(bench, workload, repeat, result, lambda r=ready: _load(bench, workload, r))  # type: ignore[misc]


def _load(bench: Bench, workload: Workload, ready: Stand) -> Sample:
    """One timed run, after a warm-up, between two checks of the answer."""

    def run(seconds: int) -> Load:
        return send(
            ready.request,
            ready.running.port,
            connections=workload.connections,
            seconds=seconds,
            core=bench.generator_core,
        )

    ready.check()
    run(bench.warm_up_seconds)
    cpu, busy, began = ready.running.cpu_seconds(), _busy_seconds(bench.server_core), time.perf_counter()
    load = run(bench.seconds)
    cpu, busy = ready.running.cpu_seconds() - cpu, _busy_seconds(bench.server_core) - busy
    others = max(0.0, busy - cpu) / (time.perf_counter() - began)
    ready.check()
    return {
        PER_SECOND: load.per_second,
        CPU_US: cpu / load.requests * 1e6,
        P50_MS: load.p50_ms,
        P99_MS: load.p99_ms,
        PSS_MIB: ready.running.pss_bytes() / _MIB,
        OTHERS: others,
    }


def _memory(bench: Bench, contender: Contender, model: Model, question: Question) -> Sample:
    """Memory of all its processes, after every worker has answered."""
    with stand(bench, contender, model, question, bench.all_cores) as ready:
        send(
            ready.request,
            ready.running.port,
            connections=_MEMORY_CONNECTIONS,
            seconds=bench.seconds,
            core=bench.generator_core,
        )
        return {PSS_MIB: ready.running.pss_bytes() / _MIB}


def _time_to_ready(bench: Bench, contender: Contender, model: Model, question: Question) -> Sample:
    """Seconds until the probe says ready; whether that is true is asked at once."""
    with stand(bench, contender, model, question, bench.all_cores) as ready:
        return {READY_S: ready.running.seconds_to_ready}


def _try(bench: Bench, workload: Workload, repeat: int, result: Result, take: Callable[[], Sample]) -> None:
    try:
        sample = take()
    except (Unfit, CompareError) as trouble:
        _fail(bench, workload, result, trouble)
        return
    result.samples.append(sample)
    figures = "  ".join(f"{name} {value:.4g}" for name, value in sample.items() if name != OTHERS)
    bench.say(f"{workload.key} {repeat + 1}: {result.label}: {figures}")


def _fail(bench: Bench, workload: Workload, result: Result, trouble: Exception) -> None:
    result.trouble = " ".join(str(trouble).split())
    bench.say(f"{workload.key}: {result.label} FAILED: {result.trouble}")


def _busy_seconds(core: int) -> float:
    """How long the core has been doing anything at all."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
            return (user + nice + system + irq + softirq + steal) / _TICKS_PER_SECOND
    raise CompareError(f"/proc/stat does not know core {core}")
