"""`make timing`: test whether the response time reveals that an address has an account, on the real stack.

In each of four modes, one client sends requests for new addresses and for one known address, which has an account, in
random order. The modes are sign-ups with DUPLICATE_RESPONSE as `conflict` and as `conceal`, sign-ups with `conceal` and
e-mail verification, and requests for another verification e-mail. In the two modes with verification, each request for
the known address records an e-mail. Before the next request, the recorded e-mails are deleted, as if they had been
delivered, and the times of the user are set back, so that another e-mail is allowed.

Two two-sided tests of SciPy compare the response times for new addresses with those for the known address: Mann-Whitney
U detects that one kind of request is slower, and Kolmogorov-Smirnov detects any difference in distribution. The same
tests compare requests after a request for a new address with requests after one for the known address, because work
after a response would delay the next request. The results are in `bench/results-timing.json`.
"""

import argparse
import json
import random
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx
from scipy import stats

from bench import ROOT, report
from devstack.scratch import scratch_folder
from tests.e2e.configs import with_mails
from tests.e2e.conftest import PASSWORD, Running, a_worker, behind_a_relay, new_email

VERIFICATION = {
    "EMAIL_VERIFICATION": "on",
    "MAIL_URL": "cloudflare:",
    "MAIL_FROM": "accounts@example.org",
    "PUBLIC_URL": "http://localhost:{port}",
    "VERIFICATION_SECRET": f"a:{'A' * 43}=",
}
# Delete the recorded e-mails, set the user's times back by an hour, and set whether the user is verified.
AN_HOUR_LATER = """
WITH "delivered" AS (DELETE FROM "Outbox")
UPDATE "User" SET reminded_at = NULL, created_at = created_at - INTERVAL '1 hour', email_verified_at = %s::timestamptz
WHERE email = %s RETURNING 1
"""


@dataclass(frozen=True)
class Mode:
    """A kind of request to measure.

    Args:
        settings: the Worker's settings.
        statuses: the expected status of the response, by the kind of address: "new" or "known".
        path: the path of the requests.
        verified: whether the user with the known address is verified; None without verification.
    """

    settings: dict[str, str]
    statuses: dict[str, int]
    path: str = "/"
    verified: bool | None = None


CONCEAL = {"DUPLICATE_RESPONSE": "conceal"}
ACCEPTED = {"new": 202, "known": 202}
MODES = {
    "conflict": Mode({"DUPLICATE_RESPONSE": "conflict"}, {"new": 201, "known": 409}),
    "conceal": Mode(CONCEAL, ACCEPTED),
    "conceal, verification": Mode(CONCEAL | VERIFICATION, ACCEPTED, verified=True),
    "resend": Mode(CONCEAL | VERIFICATION, ACCEPTED, "/verify/resend", verified=False),
}

Sample = tuple[str, float]


def sample(worker: Running, owner: Running, mode: Mode, count: int, draws: random.Random) -> list[Sample]:
    """Send `count` requests for new addresses and `count` for a known one, in random order.

    Args:
        worker: the Worker to measure.
        owner: the Worker that started the database; its method `rows` changes the user with the known address.
        mode: the kind of requests.
        count: number of requests of each kind.
        draws: the source of the random order.

    Returns:
        The kind of each request and its response time in milliseconds, in the order of the requests.
    """
    known_email = new_email()
    times: list[Sample] = []
    order = ["new", "known"] * count
    draws.shuffle(order)
    with httpx.Client(base_url=worker.stack.base_url, timeout=60) as client:
        post(client, "/", known_email)
        for kind in order:
            if mode.verified is not None:
                owner.rows(AN_HOUR_LATER, "2026-01-01" if mode.verified else None, known_email)
            milliseconds, status = post(client, mode.path, known_email if kind == "known" else new_email())
            if status != mode.statuses[kind]:
                raise RuntimeError(f"the response for a {kind} address has status {status}")
            times.append((kind, milliseconds))
    return times


def post(client: httpx.Client, path: str, email: str) -> tuple[float, int]:
    """Send a request for an address; return the response time in milliseconds and the status."""
    body = {"name": "Ada", "email": email, "password": PASSWORD} if path == "/" else {"email": email}
    start = time.perf_counter()
    response = client.post(path, json=body)
    return 1000 * (time.perf_counter() - start), response.status_code


def judge(times: list[Sample]) -> dict[str, Any]:
    """Return percentiles, and the p-values of both tests by the kind of the request and of the previous request."""
    by_kind = {each: [value for kind, value in times if kind == each] for each in ("new", "known")}
    following_times = [(before[0], value) for before, (_, value) in pairwise(times)]
    by_previous_kind = {each: [value for kind, value in following_times if kind == each] for each in ("new", "known")}
    return {
        "samples": len(by_kind["new"]),
        "median_ms": {kind: round(report.percentile(each, 0.5), 2) for kind, each in by_kind.items()},
        "p95_ms": {kind: round(report.percentile(each, 0.95), 2) for kind, each in by_kind.items()},
        **_compare(by_kind),
        "of_the_next_request": _compare(by_previous_kind),
    }


def _compare(times: dict[str, list[float]]) -> dict[str, float]:
    new, known = times["new"], times["known"]
    return {
        "mann_whitney_p": round(float(stats.mannwhitneyu(new, known).pvalue), 4),
        "kolmogorov_smirnov_p": round(float(stats.ks_2samp(new, known).pvalue), 4),
    }


def main() -> None:
    """Measure all modes and write the results."""
    parser = argparse.ArgumentParser(prog="make timing", description=__doc__)
    parser.add_argument("--samples", type=int, default=500, help="number of samples of each kind in each mode (500)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="seed of the order")
    arguments = parser.parse_args()
    times: dict[str, list[Sample]] = {}
    with (
        scratch_folder("timing") as folder,
        a_worker(folder / "stack") as worker,
    ):
        for number, (name, mode) in enumerate(MODES.items()):
            with behind_a_relay(worker, folder / str(number), with_mails(), **mode.settings) as (relayed, _):
                draws = random.Random(f"{arguments.seed} {name}")  # noqa: S311 - a reproducible order
                times[name] = sample(relayed, worker, mode, arguments.samples, draws)
    result = {
        "commit": report.commit(),
        "machine": report.machine(),
        "seed": arguments.seed,
        "modes": {mode: judge(each) for mode, each in times.items()},
    }
    text = json.dumps(result, indent=2)
    sys.stdout.write(text + "\n")
    (ROOT / "bench" / "results-timing.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
