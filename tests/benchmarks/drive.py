"""Starts the load's process, and gathers what it did and what it cost."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from deploy.local.processes import ManagedProcess
from tests.benchmarks.errors import BenchmarkFailed
from tests.benchmarks.measure import Usage
from tests.benchmarks.rig import Rig
from tests.benchmarks.senders import Plan, Result

# Beyond the time that a plan takes: to start, to put the requests together, to wait for the last replies.
SLACK_SECONDS: Final = 60.0


def send_load(
    rig: Rig, plan: Plan, *, processes: Mapping[str, ManagedProcess], makes: int
) -> tuple[Result, Usage]:
    """Send a plan of `makes` makes to the end; raises BenchmarkFailed where one of them was not answered 200.

    The usage is of these processes and of the servers, warm-up included.
    """
    pids = {**{name: process.pid for name, process in processes.items()}, **rig.server_pids()}
    load = start_load(rig, plan)
    seconds = plan.seconds if plan.kind != "open" else makes / plan.rate_per_second
    with Usage(pids) as usage:
        result = end_of_load(rig, load, timeout_seconds=seconds + SLACK_SECONDS)
    if set(result.statuses) != {"200"}:
        raise BenchmarkFailed(f"not every make was taken: {result.statuses}")
    return result, usage


def start_load(rig: Rig, plan: Plan) -> ManagedProcess:
    """Start the load's process, which begins to send some moments later."""
    plan_path, result_path = _paths(rig)
    plan_path.write_text(json.dumps(asdict(plan)), "utf-8")
    result_path.unlink(missing_ok=True)
    return rig.python("load", "tests.benchmarks.load", str(plan_path), str(result_path))


def end_of_load(rig: Rig, load: ManagedProcess, *, timeout_seconds: float) -> Result:
    """Wait for the load's end and return what it did, whatever the door said; raises BenchmarkFailed."""
    status = load.wait(timeout_seconds=timeout_seconds)
    if status != 0:
        raise BenchmarkFailed(f"the load ended with status {status}:\n{load.log_tail()}")
    return Result(**json.loads(_paths(rig)[1].read_text("utf-8")))


def _paths(rig: Rig) -> tuple[Path, Path]:
    return rig.directory / "plan.json", rig.directory / "result.json"


def write_tokens(rig: Rig, tokens: Sequence[str]) -> str:
    """Write the tokens of a plan and return their path."""
    path = rig.directory / "load.txt"
    path.write_text("\n".join(tokens) + "\n", "ascii")
    return str(path)


def cost_of(result: Result, usage: Usage) -> dict[str, float]:
    """Return the CPU milliseconds per make and the peak memory in MB, by process."""
    makes = sum(result.statuses.values())
    cpu = {**usage.cpu_seconds, "load": result.cpu_seconds}
    return {
        "cpu_ms_per_event": 1_000 * sum(cpu.values()) / makes,
        **{f"{name}_cpu_ms": 1_000 * seconds / makes for name, seconds in cpu.items()},
        **{f"peak_rss_mb_{name}": peak for name, peak in usage.peak_rss_mb.items()},
    }
