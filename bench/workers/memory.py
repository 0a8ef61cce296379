"""Measure an isolate's memory as the platform counts it: its WebAssembly memories and V8's heap.

Cloudflare's limit of 128 MB applies to these, not to workerd's resident size. V8's heap is what `Runtime.getHeapUsage`
of the DevTools protocol reports: total size, the embedder's part, and the backing stores of buffers. The WebAssembly
memories of Pyodide and Argon2 are not included. V8 reserves addresses for the maximum size of such a memory and makes
its current size accessible; proc_pid_maps(5) lists both.

V8 collects garbage when its heap is close to its limit. V8's default limit is far above that of an isolate, so workerd
runs with a lower one here; a load that needs more memory ends workerd.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import uvloop

from bench.peers import node, run_program
from bench.report import spread
from bench.workers.builds import PEERS
from bench.workers.load import Target, endpoint, turn
from bench.workers.rounds import NUMBERS
from bench.workers.workerd import command
from devstack.postgres.server import free_port
from signup.hashing.profiles import DEFAULT, PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.workers.config import Worker
    from bench.workers.row_counts import RowCounter

CLIENTS = 64
# The limit of V8's heap. Together with the WebAssembly memories it is below the target of 100 MiB.
HEAP_MIB = 24
MIB = 1024 * 1024
_GIB = 1024 * MIB
_PAGE = 64 * 1024
# The kernel may merge a mapping of this size with the end of a reservation.
_SLACK = 256 * MIB
# Number of parts of the load, after each of which the memory is read.
_PARTS = 4


class Isolate(NamedTuple):
    """The memory of an isolate in MiB.

    Args:
        wasm: the WebAssembly memories.
        heap: V8's heap.
    """

    wasm: list[float]
    heap: float

    @property
    def total(self) -> float:
        """The sum."""
        return sum(self.wasm) + self.heap

    def __str__(self) -> str:
        wasm = " + ".join(f"{each:.1f}" for each in self.wasm)
        return f"{self.total:.1f} MiB (WebAssembly {wasm}, heap {self.heap:.1f})"


def wasm_memories(maps: str) -> list[float]:
    """Return the size of each WebAssembly memory in MiB, from the text of `/proc/PID/maps`.

    A memory is an accessible mapping, followed by the inaccessible rest of its reservation of 2 or 4 GiB. The kernel
    may have merged other accessible memory with its front, and a guard of less than a page of 64 KiB with its end.
    """
    found = []
    before, start, size = 0, 0, 0
    for line in maps.splitlines():
        span, permissions, _, _, inode, *_ = line.split()
        first, last = (int(end, 16) for end in span.split("-"))
        reserved = last - start
        if permissions == "---p" and first == before and size and reserved >= 2 * _GIB and reserved % _GIB < _SLACK:
            found.append(math.ceil((size - reserved % _GIB) / _PAGE) * _PAGE / MIB)
        before, start = last, first
        size = last - first if permissions == "rw-p" and inode == "0" else 0
    return found


def read(pid: int, inspector: int) -> Isolate:
    """Return the memory of the isolate of a workerd with an inspector."""
    argv = [node(), "--no-warnings", str(PEERS / "heap.mjs"), str(inspector)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603 - nothing of it comes from outside
    heap = json.loads(done.stdout)
    total = heap["totalSize"] + heap["embedderHeapUsedSize"] + heap["backingStorageSize"]
    return Isolate(wasm_memories(Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")), total / MIB)


@contextmanager
def inspected(worker: Worker) -> Iterator[tuple[Target, Callable[[], Isolate]]]:
    """Run a Worker while the block runs; yield its target and a function that reads its isolate's memory."""
    port = free_port()
    argv = command(worker, f"--inspector-addr=127.0.0.1:{port}")
    with run_program("workerd", argv, dict(os.environ), socket="http") as (http, pid):
        yield Target(endpoint(http), pid, 201), lambda: read(pid, port)


def measure(
    make: Callable[[str], Worker], counter: RowCounter, seconds: float, log: Callable[[str], None], sign_ups: int = 0
) -> dict[str, dict[str, object]]:
    """Run 64 clients with each profile, and read the isolate's memory before, during and after the load.

    Args:
        make: returns the Worker with a profile.
        counter: checks the rows of the table.
        seconds: duration of the load with the default profile; a tenth of it with the others.
        log: writes a line of progress.
        sign_ups: least number of sign-ups with each profile.

    Returns:
        By profile: the memory before, after one sign-up and under load in MiB, the number of sign-ups, and the longest
        response time in seconds.
    """
    found: dict[str, dict[str, object]] = {}
    for name in PROFILES:
        with inspected(make(name)) as (target, read_memory):
            uvloop.run(_ask_health(target))
            idle = read_memory()
            counter.check("User", uvloop.run(turn(target, 1, 0, NUMBERS)).answered, hashed=True)
            first = read_memory()
            loads: list[Isolate] = []
            if len(first.wasm) != len(idle.wasm) + 1:
                raise RuntimeError(f"the memories of Pyodide and Argon2 were not found, but {first.wasm}")
            answered, slowest, started_at = 0, 0.0, time.monotonic()
            whole = seconds if name == DEFAULT.parameters else seconds / 10
            while time.monotonic() < started_at + whole or answered < sign_ups or not loads:
                sample = uvloop.run(turn(target, CLIENTS, whole / _PARTS, NUMBERS))
                counter.check("User", sample.answered, hashed=True)
                answered, slowest = answered + sample.answered, max(slowest, sample.slowest)
                loads.append(read_memory())
        log(f"{name}: idle {idle}; first {first}; {answered} sign-ups later {loads[-1]}; at most {slowest:.1f} s each")
        totals = [round(each.total, 1) for each in (idle, first, *loads)]
        found[name] = {
            "idle_mib": totals[0],
            "first_mib": totals[1],
            "loaded_mib": totals[2:],
            "wasm_mib": [round(each, 1) for each in loads[-1].wasm],
            "sign_ups": answered,
            "slowest_s": round(slowest, 2),
        }
    return found


async def _ask_health(target: Target) -> None:
    from bench.client import connect  # noqa: PLC0415

    connection = await connect(target.endpoint)
    await connection.post(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    connection.close()


def isolate(found: dict[str, dict[str, object]]) -> dict[str, dict[str, float]]:
    """Return the peak memory with 64 clients and the default profile."""
    loaded = found[DEFAULT.parameters]["loaded_mib"]
    assert isinstance(loaded, list)  # noqa: S101 - for the type checker
    most: Sequence[float] = [max(loaded)]
    return {"isolate_mib": spread(most)}
