"""Measure an isolate's memory as the platform counts it: its WebAssembly memories and V8's heap.

Cloudflare's limit of 128 MB applies to these, not to workerd's resident set size. The size of V8's heap is the sum of
the values that `Runtime.getHeapUsage` of the DevTools protocol reports: total size, the embedder's part, and the
backing stores of buffers. It does not include the WebAssembly memories of Pyodide and Argon2, which are found in
`/proc/PID/maps` (proc_pid_maps(5)): V8 reserves address space for the maximum size of a memory, and makes only as much
of it accessible as the current size.

V8 collects garbage when its heap is close to its limit. V8's default limit is far above that of an isolate on
Cloudflare, so workerd runs with a lower one here. If the load needs more memory, workerd crashes and the measurement
fails.
"""

import json
import math
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from bench.client import Endpoint
from bench.load import turn
from bench.report import progress, spread
from bench.workers import contenders
from bench.workers.builds import PEERS
from bench.workers.config import Worker
from bench.workers.measurement import Options, Result, behind_sqlproxy
from bench.workers.row_counts import RowCounter
from bench.workers.workerd import endpoint, running
from devstack.postgres.server import free_port
from devstack.stack.services import node
from signup.hashing.profiles import DEFAULT, PROFILES

CLIENTS = 64
# The limit of V8's heap in MiB. Together with the WebAssembly memories it is below the target of 100 MiB.
HEAP_MIB = 24
MIB = 1024 * 1024
_GIB = 1024 * MIB
_PAGE = 64 * 1024
# The kernel may merge a mapping of less than this size with the end of a reservation.
_SLACK = 256 * MIB
# Each part of the load takes at least the requested duration divided by this. The memory is read after each part.
_PARTS = 4


class Isolate(NamedTuple):
    """The memory of an isolate in MiB."""

    wasm: list[float]
    heap: float

    @property
    def total(self) -> float:
        """The WebAssembly memories and the heap together."""
        return sum(self.wasm) + self.heap

    def __str__(self) -> str:
        wasm = " + ".join(f"{each:.1f}" for each in self.wasm)
        return f"{self.total:.1f} MiB (WebAssembly {wasm}, heap {self.heap:.1f})"


def wasm_memories(maps: str) -> list[float]:
    """Return the size of each WebAssembly memory in MiB, from the text of `/proc/PID/maps`.

    A memory is an accessible mapping, followed by the inaccessible rest of its reservation of 2 or 4 GiB. The kernel
    may have merged other accessible memory with the beginning of the mapping, and a guard region of less than a
    WebAssembly page (64 KiB) with its end.
    """
    sizes = []
    before, start, size = 0, 0, 0
    for line in maps.splitlines():
        span, permissions, _, _, inode, *_ = line.split()
        first, last = (int(end, 16) for end in span.split("-"))
        reserved = last - start
        if permissions == "---p" and first == before and size and reserved >= 2 * _GIB and reserved % _GIB < _SLACK:
            sizes.append(math.ceil((size - reserved % _GIB) / _PAGE) * _PAGE / MIB)
        before, start = last, first
        size = last - first if permissions == "rw-p" and inode == "0" else 0
    return sizes


def read(pid: int, inspector: int) -> Isolate:
    """Return the memory of the isolate in a workerd process whose inspector listens on the port `inspector`."""
    argv = [node(), "--no-warnings", str(PEERS / "heap.mjs"), str(inspector)]
    completed = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603 - no argument comes from outside
    heap = json.loads(completed.stdout)
    total = heap["totalSize"] + heap["embedderHeapUsedSize"] + heap["backingStorageSize"]
    return Isolate(wasm_memories(Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")), total / MIB)


@contextmanager
def inspected(worker: Worker) -> Iterator[tuple[Endpoint, Callable[[], Isolate]]]:
    """Run a Worker until the block ends; yield its endpoint and a function that reads its isolate's memory."""
    port = free_port()
    with running(worker, f"--inspector-addr=127.0.0.1:{port}") as run:
        yield endpoint(run), lambda: read(run[1], port)


def measure(options: Options) -> Result:
    """Run 64 clients with each profile, and read the isolate's memory before the load and after each part of it.

    The load takes at least `options.load` seconds with the default profile, and a tenth of that with other profiles.
    The details contain, by profile, the memory in MiB when idle, after one sign-up and under load, the number of
    sign-ups, and the longest response time in seconds.
    """
    details: dict[str, dict[str, Any]] = {}
    with behind_sqlproxy() as (backends, counter):
        for name in PROFILES:
            worker = contenders.ours(backends, "memory", HASH_PROFILE=name)._replace(heap_mib=HEAP_MIB)
            seconds = options.load if name == DEFAULT.parameters else options.load / 10
            details[name] = _measure_profile(name, worker, counter, seconds, options.sign_ups)
    max_mib = max(details[DEFAULT.parameters]["loaded_mib"])
    return Result({"isolate_mib": spread([max_mib])}, details)


def _measure_profile(name: str, worker: Worker, counter: RowCounter, seconds: float, sign_ups: int) -> dict[str, Any]:
    with inspected(worker) as (target, read_memory):
        httpx.get(f"http://127.0.0.1:{target.port}/health", timeout=60)
        idle = read_memory()
        counter.check("User", turn(target, 1, 0).answered, hashed=True)
        first = read_memory()
        if len(first.wasm) != len(idle.wasm) + 1:
            raise RuntimeError(f"the first hash must add one memory: {idle.wasm} MiB before, {first.wasm} MiB after")
        loads: list[Isolate] = []
        answered, slowest, started_at = 0, 0.0, time.monotonic()
        while time.monotonic() < started_at + seconds or answered < sign_ups or not loads:
            sample = turn(target, CLIENTS, seconds / _PARTS)
            counter.check("User", sample.answered, hashed=True)
            answered, slowest = answered + sample.answered, max(slowest, sample.slowest)
            loads.append(read_memory())
    progress(f"{name}: idle {idle}; first {first}; {answered} sign-ups later {loads[-1]}; at most {slowest:.1f} s each")
    totals = [round(each.total, 1) for each in (idle, first, *loads)]
    return {
        "idle_mib": totals[0],
        "first_mib": totals[1],
        "loaded_mib": totals[2:],
        "wasm_mib": [round(each, 1) for each in loads[-1].wasm],
        "sign_ups": answered,
        "slowest_s": round(slowest, 2),
    }
