"""A flood: 16 clients send invalid requests from one address without pauses, while another client signs up.

`make flood` runs for 30 seconds with the rate limits in wrangler.toml, and writes `.local/flood.json`.
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
# The number of sign-ups over which CPU time is averaged, and the seconds between two sign-ups of the other client.
MEASURED_SIGN_UPS = 8
PAUSE = 3
# The shared address of the flooding clients, and the address of the other client.
FLOODING_ADDRESS, OTHER_ADDRESS = "192.0.2.1", "198.51.100.1"


@dataclass(frozen=True)
class Flood:
    """The result of a flood.

    Args:
        seconds: the duration.
        answers: the number of responses by status; 0 counts requests without a response from the Worker.
        refused_cpu_ms: workerd's CPU time in milliseconds per request of the flood. The other client's sign-ups are
            subtracted.
        sign_up_cpu_ms: workerd's CPU time in milliseconds per sign-up, before the flood.
        other_statuses: the statuses of the other client's sign-ups.
        other_median_s: the median duration of the other client's sign-ups in seconds.
    """

    seconds: float
    answers: dict[str, int]
    refused_cpu_ms: float
    sign_up_cpu_ms: float
    other_statuses: list[int]
    other_median_s: float


def flood(worker: Running, seconds: float) -> Flood:
    """Flood a Worker and return the result."""
    workerd = Resources(worker, worker).workerd
    worker.sign_up()
    before = cpu(workerd)
    for number in range(MEASURED_SIGN_UPS):
        worker.client.post("/", json=sign_up_body(), headers={"cf-connecting-ip": f"203.0.113.{number}"})
    cpu_per_sign_up = (cpu(workerd) - before) / MEASURED_SIGN_UPS
    deadline = time.monotonic() + seconds
    before = cpu(workerd)
    with ThreadPoolExecutor(CLIENTS + 1) as threads:
        floods = [
            threads.submit(send_invalid_requests, worker.stack.base_url, deadline, number) for number in range(CLIENTS)
        ]
        other_statuses, durations = threads.submit(send_sign_ups, worker.stack.base_url, deadline).result()
        responses = sum((task.result() for task in floods), Counter[int]())
    spent = cpu(workerd) - before - cpu_per_sign_up * len(other_statuses)
    return Flood(
        seconds=seconds,
        answers={str(status): count for status, count in sorted(responses.items())},
        refused_cpu_ms=round(1000 * spent / responses.total(), 3),
        sign_up_cpu_ms=round(1000 * cpu_per_sign_up, 1),
        other_statuses=other_statuses,
        other_median_s=round(median(durations), 2),
    )


def sign_up_body() -> dict[str, str]:
    """Return the body of a valid sign-up."""
    return {"name": "Ada", "email": new_email(), "password": PASSWORD}


def send_invalid_requests(url: str, deadline: float, number: int) -> Counter[int]:
    """Send invalid requests of six kinds from one address until the deadline; return the counts by status."""
    bodies = [
        b"",
        b"{",
        b'{"name":1}',
        b"[" * 5000,
        json.dumps(sign_up_body() | {"email": "none"}).encode(),
        b" " * 20_000,
    ]
    statuses = Counter[int]()
    with httpx.Client(base_url=url, timeout=60) as client:
        while time.monotonic() < deadline:
            body = bodies[(statuses.total() + number) % len(bodies)]
            headers = {"content-type": "application/json", "cf-connecting-ip": FLOODING_ADDRESS}
            try:
                response = client.post("/", content=body, headers=headers)
            except httpx.RemoteProtocolError:
                statuses[0] += 1
                continue
            # A response without a request id is from wrangler, which is between the client and the Worker. wrangler
            # loses the connection if the Worker responds before reading the whole body.
            statuses[response.status_code if "x-request-id" in response.headers else 0] += 1
    return statuses


def send_sign_ups(url: str, deadline: float) -> tuple[list[int], list[float]]:
    """Sign up from another address every few seconds until the deadline; return statuses and durations in seconds."""
    statuses, durations = [], []
    with httpx.Client(base_url=url, timeout=60) as client:
        while time.monotonic() < deadline:
            start = time.monotonic()
            response = client.post("/", json=sign_up_body(), headers={"cf-connecting-ip": OTHER_ADDRESS})
            statuses.append(response.status_code)
            durations.append(time.monotonic() - start)
            time.sleep(PAUSE)
    return statuses, durations


def cpu(pid: int) -> float:
    """Return the CPU time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Flood a new stack and write the result."""
    parser = argparse.ArgumentParser(prog="make flood", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="duration (30)")
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
