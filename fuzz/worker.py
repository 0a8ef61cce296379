"""`make fuzz`: send generated requests to the real Worker, and check each response against the HTTP contract.

The exit status is 1 if a response violates the contract, or if a line of the stack's output reports an error.
"""

import argparse
import http.client
import json
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from devstack.scratch import scratch_folder
from fuzz.requests import Request, draw_request
from signup.web.negotiation import is_form
from tests.e2e.conftest import Running, a_worker
from tests.unit.test_problems import CONTRACT

CLIENTS = 8
MEMBERS = {"type", "title", "status", "detail", "instance", "code"}
REQUIRED_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
# Texts of lines in which workerd, Python or the Worker reports an error.
ERROR_MARKERS = ("Traceback", "Uncaught", "uncaught", "PythonError", "Error:", '"internal"', '"exception"')


def fuzz(worker: Running, count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Send `count` generated requests from several clients.

    Returns:
        The number of responses by status ("none": the connection ended without a response), and the violations.
    """
    before = len(worker.lines)
    with ThreadPoolExecutor(CLIENTS) as threads:
        tasks = [threads.submit(_client, worker, count // CLIENTS, f"{seed} {number}") for number in range(CLIENTS)]
        results = [task.result() for task in tasks]
    statuses: Counter[str] = sum((counts for counts, _ in results), Counter[str]())
    violations = [line for _, lines in results for line in lines]
    violations += [line for line in worker.lines[before:] if any(marker in line for marker in ERROR_MARKERS)]
    return statuses, violations


def _client(worker: Running, count: int, seed: str) -> tuple[Counter[str], list[str]]:
    draw = random.Random(seed)  # noqa: S311 - reproducible requests
    connection = http.client.HTTPConnection("localhost", worker.stack.options.port, timeout=60)
    statuses, violations = Counter[str](), list[str]()
    for number in range(count):
        request = draw_request(draw)
        try:
            connection.request(request.method, request.path, request.body, request.headers)
            response = connection.getresponse()
            content = response.read()
        except (http.client.HTTPException, OSError):
            # wrangler's proxy closes the connection if the Worker does not read the body.
            statuses["none"] += 1
            connection.close()
            continue
        statuses[str(response.status)] += 1
        reason = find_violation(request, response.status, {k.lower(): v for k, v in response.getheaders()}, content)
        if reason:
            violations.append(
                f"request {number} of seed {seed!r}: {request.method} {request.path[:40]} {response.status}: {reason}"
            )
    connection.close()
    return statuses, violations


def find_violation(request: Request, status: int, headers: dict[str, str], content: bytes) -> str:
    """Return a description of how a response violates the contract, or ""."""
    if "x-request-id" not in headers:
        # workerd itself responds to an unknown method, and wrangler to a lost connection to the Worker.
        foreign = status in (500, 501, 502) and not headers.get("content-type", "").endswith("json")
        return "" if foreign else "the response is not the Worker's"
    if not REQUIRED_HEADERS.items() <= headers.items():
        return "a required header is missing"
    if request.method == "HEAD" or status == http.client.NO_CONTENT:
        return "the response must not have a body" if content else ""
    if headers["content-type"].startswith("text/html"):
        return _find_page_violation(request, status, content)
    if status in (200, 201):
        return "" if headers["content-type"] == "application/json" else "the response is not JSON"
    return _find_problem_violation(status, headers["content-type"], json.loads(content))


def _find_page_violation(request: Request, status: int, content: bytes) -> str:
    is_form_page = request.method == "GET" and status == http.client.OK
    is_result = is_form(request.headers["content-type"]) and status in {http.client.CREATED, *CONTRACT.values()}
    if not (is_form_page or is_result) or status == http.client.INTERNAL_SERVER_ERROR:
        return "the response is a page, which does not fit the request or the status"
    # The page contains the posted values, but not as markup.
    is_intact = b"<script>" not in content and content.rstrip().endswith(b"</html>")
    return "" if is_intact else "the page contains posted markup, or is cut off"


def _find_problem_violation(status: int, media_type: str, body: dict[str, object]) -> str:
    if media_type != "application/problem+json" or not body.keys() >= MEMBERS:
        return "the response is not problem details"
    if CONTRACT.get(str(body["code"])) != status or body["status"] != status:
        return f"the contract has no {body['code']} with this status"
    return "an internal error" if body["code"] in ("internal", "misconfigured") else ""


def main() -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000, help="number of requests (100,000)")
    seed_help = "seed, to repeat a run"
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help=seed_help)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    start = time.monotonic()
    with (
        scratch_folder("fuzz") as folder,
        a_worker(folder / "stack") as worker,
    ):
        statuses, violations = fuzz(worker, arguments.requests, arguments.seed)
    print(f"{statuses.total()} requests in {time.monotonic() - start:.0f} s: {dict(sorted(statuses.items()))}")
    print(f"{len(violations)} responses or log lines violate the contract")
    print("\n".join(violations[:20]))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
