"""Clients that retry sign-ups as docs/reliability.md recommends, and a ledger of the responses they received.

A client retries with the same idempotency key until it has a definite response. Some requests time out early.
"""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx

from tests.e2e.conftest import PASSWORD, Running, new_email

# In seconds: the time after which a sign-up without a definite response is an error, and extra time for busy machines.
GIVE_UP = 180
GRACE = 5
# The share of requests that the client abandons early.
EARLY_TIMEOUT_RATE = 0.05
# The percentage of each kind of request: a new user, a repeated request, a taken address, a reused key with a different
# body, and an invalid request.
REQUEST_MIX = {"new": 70, "again": 8, "taken": 8, "mismatch": 4, "wrong": 10}
INVALID_REQUESTS: list[tuple[int, dict[str, str]]] = [
    (422, {"name": "", "email": "no-address", "password": "short"}),
    (422, {"name": "Ada", "email": "ada@example.com"}),
    (413, {"name": "x" * 20_000, "email": "ada@example.com", "password": PASSWORD}),
]


class SoakError(AssertionError):
    """A sign-up was lost or duplicated, a response violated the contract, or the stack did not recover."""


@dataclass
class SignUpLedger:
    """The responses that clients received, compared with the rows in the database.

    Args:
        deadline: the number of seconds within which the Worker must respond.
        created: the user id in the 201 response of each address.
        statuses: the number of responses by status; 0 counts requests without a response.
        violations: descriptions of responses that violate the contract.
    """

    deadline: float
    created: dict[str, int] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def run_client(self, base_url: httpx.URL, draw: random.Random, done: threading.Event) -> None:
        """Send sign-ups and requests that must be rejected, until `done` is set."""
        with httpx.Client(base_url=base_url, timeout=60) as client:
            while not done.is_set():
                users = list(self.created.items())
                kind = draw.choices(list(REQUEST_MIX), list(REQUEST_MIX.values()))[0]
                if kind == "wrong":
                    status, body = draw.choice(INVALID_REQUESTS)
                    self.check_status(status, self.post_until_answered(client, body, new_email(), draw, {status}))
                elif kind == "new" or not users:
                    email = new_email()
                    response = self.post_until_answered(client, _sign_up_body(email), email, draw)
                    if self.check_status(201, response):
                        self.created[email] = response.json()["user"]["id"]
                else:
                    email, user_id = draw.choice(users)
                    if kind == "again":
                        response = self.post_until_answered(client, _sign_up_body(email), email, draw)
                        if self.check_status(201, response) and (
                            response.json()["user"]["id"] != user_id or "idempotency-replayed" not in response.headers
                        ):
                            self.violations.append(
                                "a replayed response names another user or is not marked as replayed"
                            )
                    elif kind == "taken":
                        self.check_status(
                            409, self.post_until_answered(client, _sign_up_body(email), new_email(), draw)
                        )
                    else:
                        self.check_status(
                            422, self.post_until_answered(client, {**_sign_up_body(email), "name": "Eve"}, email, draw)
                        )

    def post_until_answered(
        self,
        client: httpx.Client,
        body: dict[str, str],
        key: str,
        draw: random.Random,
        allowed: set[int] | None = None,
    ) -> httpx.Response:
        """Post with one key until the response is definite: a response of the Worker other than 503 and 504.

        If `allowed` is given, a response with any other status is returned at once, even 503 or 504.

        Raises:
            SoakError: there is no definite response within `GIVE_UP` seconds.
        """
        deadline = time.monotonic() + GIVE_UP
        while time.monotonic() < deadline:
            timeout = draw.uniform(0.05, 1) if draw.random() < EARLY_TIMEOUT_RATE else 60
            start = time.monotonic()
            try:
                response = client.post("/", json=body, headers={"idempotency-key": key}, timeout=timeout)
            except httpx.TransportError:
                self.statuses[0] += 1
                continue
            if "x-request-id" not in response.headers:
                # This response is from `wrangler dev` while the Worker restarts.
                self.statuses[0] += 1
                continue
            self.statuses[response.status_code] += 1
            if time.monotonic() - start > self.deadline + GRACE:
                self.violations.append(f"{response.status_code} long after the deadline")
            if response.status_code not in (503, 504) or (allowed and response.status_code not in allowed):
                return response
            time.sleep(draw.uniform(0, int(response.headers.get("retry-after", 1))))
        raise SoakError(f"no definite response within {GIVE_UP} s")

    def check_status(self, status: int, response: httpx.Response) -> bool:
        """Record an unexpected status; return whether the status is the expected one."""
        if response.status_code != status:
            self.violations.append(f"{response.status_code} instead of {status}")
        return response.status_code == status

    def reconcile(self, stack: Running, before: int) -> None:
        """Compare the responses with the rows in the database.

        Args:
            stack: the stack with the database.
            before: the number of users before the run.

        Raises:
            SoakError: a sign-up was lost, a row has no 201 response, a row is incomplete, or a response was wrong.
        """
        rows = dict(stack.rows('SELECT email, id FROM "User"'))
        lost = [email for email, user_id in self.created.items() if rows.get(email) != user_id]
        unreported = len(rows) - before - len(self.created)
        ((incomplete,),) = stack.rows(
            """SELECT count(*) FROM "User" WHERE email = ANY(%s)
            AND (name <> 'Ada' OR octet_length(idempotency_key) <> 32
                OR password !~ '^[$]argon2id[$]v=19[$]m=19456,t=2,p=1[$][A-Za-z0-9+/]{22}[$][A-Za-z0-9+/]{43}$')""",
            list(self.created),
        )
        if lost or unreported or incomplete or self.violations:
            violations = Counter(self.violations).most_common(5)
            raise SoakError(f"{len(lost)} lost, {unreported} rows without a 201, {incomplete} incomplete; {violations}")


def _sign_up_body(email: str) -> dict[str, str]:
    return {"name": "Ada", "email": email, "password": PASSWORD}
