"""Clients that sign users up as docs/reliability.md tells them to, and books of what they were told.

They keep their idempotency key, and ask again until the answer is one. Some lose patience, and go away in the middle.
"""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx

from tests.e2e.conftest import PASSWORD, Running, new_email

# Seconds: after which a sign-up without an answer counts as lost, and what a busy machine may add to the deadline.
GIVE_UP = 180
GRACE = 5
IMPATIENT = 0.05
# What a client may ask for, how often of a hundred times.
KINDS = {"new": 70, "again": 8, "taken": 8, "mismatch": 4, "wrong": 10}
WRONG: list[tuple[int, dict[str, str]]] = [
    (422, {"name": "", "email": "nobody", "password": "short"}),
    (422, {"name": "Ada", "email": "ada@example.com"}),
    (413, {"name": "x" * 20_000, "email": "ada@example.com", "password": PASSWORD}),
]


class SoakError(AssertionError):
    """What must not happen did."""


@dataclass
class Books:
    """Clients, and what they were told.

    Args:
        deadline: seconds within which the Worker answers.
        made: the id that each address's 201 had.
        seen: how often each status was answered; 0 is no answer at all.
        problems: what contradicts the contract.
    """

    deadline: float
    made: dict[str, int] = field(default_factory=dict)
    seen: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def keep(self, base_url: httpx.URL, draw: random.Random, done: threading.Event) -> None:
        """Sign users up, and ask for what must be refused, until the end."""
        with httpx.Client(base_url=base_url, timeout=60) as client:
            while not done.is_set():
                known = list(self.made.items())
                kind = draw.choices(list(KINDS), list(KINDS.values()))[0]
                if kind == "wrong":
                    status, body = draw.choice(WRONG)
                    self.expect(status, self.ask(client, body, new_email(), draw, {status}))
                elif kind == "new" or not known:
                    email = new_email()
                    answer = self.ask(client, _ada(email), email, draw)
                    if self.expect(201, answer):
                        self.made[email] = answer.json()["user"]["id"]
                else:
                    email, number = draw.choice(known)
                    if kind == "again":
                        answer = self.ask(client, _ada(email), email, draw)
                        if self.expect(201, answer) and (
                            answer.json()["user"]["id"] != number or "idempotency-replayed" not in answer.headers
                        ):
                            self.problems.append("a replay was another user's, or not marked as one")
                    elif kind == "taken":
                        self.expect(409, self.ask(client, _ada(email), new_email(), draw))
                    else:
                        self.expect(422, self.ask(client, {**_ada(email), "name": "Eve"}, email, draw))

    def ask(
        self,
        client: httpx.Client,
        body: dict[str, str],
        key: str,
        draw: random.Random,
        allowed: set[int] | None = None,
    ) -> httpx.Response:
        """Post, with one key, until the answer is one: not 503, 504 or none at all. A client may go away meanwhile."""
        deadline = time.monotonic() + GIVE_UP
        while time.monotonic() < deadline:
            patience = draw.uniform(0.05, 1) if draw.random() < IMPATIENT else 60
            start = time.monotonic()
            try:
                answer = client.post("/", json=body, headers={"idempotency-key": key}, timeout=patience)
            except httpx.TransportError:
                self.seen[0] += 1
                continue
            self.seen[answer.status_code] += 1
            if time.monotonic() - start > self.deadline + GRACE:
                self.problems.append(f"a {answer.status_code} long after the deadline")
            if answer.status_code not in (503, 504) or (allowed and answer.status_code not in allowed):
                return answer
            time.sleep(draw.uniform(0, int(answer.headers.get("retry-after", 1))))
        raise SoakError(f"no answer within {GIVE_UP} s")

    def expect(self, status: int, answer: httpx.Response) -> bool:
        """Note an answer that is another, and say whether it is the right one."""
        if answer.status_code != status:
            self.problems.append(f"{answer.status_code} instead of {status}")
        return answer.status_code == status

    def balance(self, stack: Running, before: int) -> None:
        """Compare what clients were told with the rows.

        Raises:
            SoakError: a sign-up was lost, is there twice or without a 201, or a row is not whole.
        """
        rows = dict(stack.rows('SELECT email, id FROM "User"'))
        lost = [email for email, number in self.made.items() if rows.get(email) != number]
        without = len(rows) - before - len(self.made)
        ((half,),) = stack.rows(
            """SELECT count(*) FROM "User" WHERE email = ANY(%s)
            AND (name <> 'Ada' OR octet_length(idempotency_key) <> 32
                OR password !~ '^[$]argon2id[$]v=19[$]m=19456,t=2,p=1[$][A-Za-z0-9+/]{22}[$][A-Za-z0-9+/]{43}$')""",
            list(self.made),
        )
        if lost or without or half or self.problems:
            problems = Counter(self.problems).most_common(5)
            raise SoakError(f"{len(lost)} lost, {without} rows without a 201, {half} not whole; {problems}")


def _ada(email: str) -> dict[str, str]:
    return {"name": "Ada", "email": email, "password": PASSWORD}
