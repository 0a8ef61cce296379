"""A flood: as many wrong requests as this machine can send from one address, while somebody else signs up.

`make flood` runs it for 30 seconds with the limits of wrangler.toml, and writes `.local/flood.json`.
"""

import argparse
import json
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import httpx

from devstack.scratch import scratch_folder
from devstack.setup.bootstrap import ROOT
from tests.e2e.conftest import PASSWORD, Running, a_worker, new_email
from tests.e2e.resources import Resources

CLIENTS = 16
# Sign-ups by which the CPU of one is measured, and seconds between two of the good client's.
MEASURED = 8
PAUSE = 3
FLOODER, GOOD = "192.0.2.1", "198.51.100.1"


@dataclass(frozen=True)
class Flood:
    """What came of it.

    Args:
        seconds: how long it went on.
        answers: how often each status came; 0 for none, or none of the Worker.
        refused_cpu_ms: CPU of the Worker's workerd a request of the flood, in milliseconds; the good client's apart.
        sign_up_cpu_ms: the same for one sign-up, before the flood.
        good: statuses of the good client's sign-ups meanwhile.
        good_seconds: the median time of one.
    """

    seconds: float
    answers: dict[str, int]
    refused_cpu_ms: float
    sign_up_cpu_ms: float
    good: list[int]
    good_seconds: float


def flood(worker: Running, seconds: float) -> Flood:
    """Flood a Worker."""
    workerd = Resources(worker, worker).workerd
    worker.sign_up()
    before = cpu(workerd)
    for number in range(MEASURED):
        worker.client.post("/", json=sign_up(), headers={"cf-connecting-ip": f"203.0.113.{number}"})
    each = (cpu(workerd) - before) / MEASURED
    end = time.monotonic() + seconds
    before = cpu(workerd)
    with ThreadPoolExecutor(CLIENTS + 1) as threads:
        floods = [threads.submit(wrong, worker.stack.base_url, end, number) for number in range(CLIENTS)]
        good, times = threads.submit(right, worker.stack.base_url, end).result()
        answers = sum((task.result() for task in floods), Counter[int]())
    spent = cpu(workerd) - before - each * len(good)
    return Flood(
        seconds=seconds,
        answers={str(status): count for status, count in sorted(answers.items())},
        refused_cpu_ms=round(1000 * spent / answers.total(), 3),
        sign_up_cpu_ms=round(1000 * each, 1),
        good=good,
        good_seconds=round(median(times), 2),
    )


def sign_up() -> dict[str, str]:
    """Return a good sign-up."""
    return {"name": "Ada", "email": new_email(), "password": PASSWORD}


def wrong(url: str, end: float, number: int) -> Counter[int]:
    """Send wrong requests of all kinds from one address until the end; count the statuses."""
    bodies = [b"", b"{", b'{"name":1}', b"[" * 5000, json.dumps(sign_up() | {"email": "none"}).encode(), b" " * 20_000]
    seen = Counter[int]()
    with httpx.Client(base_url=url, timeout=60) as client:
        while time.monotonic() < end:
            body = bodies[(seen.total() + number) % len(bodies)]
            headers = {"content-type": "application/json", "cf-connecting-ip": FLOODER}
            try:
                answer = client.post("/", content=body, headers=headers)
            except httpx.RemoteProtocolError:
                seen[0] += 1
                continue
            # An answer without an id is not the Worker's: wrangler, between client and Worker, loses connections on
            # which a body was answered before it was read.
            seen[answer.status_code if "x-request-id" in answer.headers else 0] += 1
    return seen


def right(url: str, end: float) -> tuple[list[int], list[float]]:
    """Sign somebody up from another address every few seconds; return statuses and times."""
    statuses, times = [], []
    with httpx.Client(base_url=url, timeout=60) as client:
        while time.monotonic() < end:
            start = time.monotonic()
            statuses.append(client.post("/", json=sign_up(), headers={"cf-connecting-ip": GOOD}).status_code)
            times.append(time.monotonic() - start)
            time.sleep(PAUSE)
    return statuses, times


def cpu(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Flood a stack of its own for 30 seconds, and write what came of it."""
    parser = argparse.ArgumentParser(prog="make flood", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="how long (30)")
    seconds = parser.parse_args().seconds
    config = (ROOT / "wrangler.toml").read_text(encoding="utf-8")
    with (
        scratch_folder("flood") as folder,
        a_worker(folder / "stack", config=config) as worker,
    ):
        figures = json.dumps(asdict(flood(worker, seconds)), indent=2)
    print(figures)
    (ROOT / ".local" / "flood.json").write_text(figures + "\n")


if __name__ == "__main__":
    main()
