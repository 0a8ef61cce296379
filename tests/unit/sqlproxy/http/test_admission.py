"""Admission and eviction of connections, without sockets."""

from __future__ import annotations

from sqlproxy.http.admission import Admission


class FakeClient:
    """A fake client connection."""

    def __init__(self, *, busy: bool = False) -> None:
        self.busy = busy
        self.evicted = False

    def is_busy(self) -> bool:
        """Return the value that the test set."""
        return self.busy

    def evict(self) -> None:
        """Record the eviction."""
        self.evicted = True


class Harness:
    """An `Admission` for eight connections, with a clock that the test advances."""

    def __init__(self) -> None:
        self.now = 100.0
        self.admission = Admission(8, clock=lambda: self.now)
        self.clients: list[FakeClient] = []

    def connect(self, count: int = 1, *, busy: bool = False) -> list[FakeClient]:
        """Connect clients; return those that were admitted."""
        admitted = []
        for _ in range(count):
            client = FakeClient(busy=busy)
            if self.admission.admit(client, 1 + sum(not each.evicted for each in self.clients)):
                self.clients.append(client)
                admitted.append(client)
        return admitted

    def evicted(self) -> list[int]:
        """Return the indexes of the evicted clients."""
        return [number for number, client in enumerate(self.clients) if client.evicted]


def test_a_burst_is_admitted() -> None:
    """Recent clients are evicted only when every slot is taken."""
    harness = Harness()
    harness.connect(8)
    assert harness.evicted() == []
    harness.connect()
    assert harness.evicted() == [0]


def test_the_oldest_client_without_a_token_is_evicted_if_there_are_too_many() -> None:
    """Clients without a token may have a quarter of the connections, here two."""
    harness = Harness()
    first, second, third = harness.connect(3)
    harness.admission.release(first)
    harness.now += 2
    harness.connect()
    assert harness.evicted() == [1]
    harness.admission.release(third)
    harness.connect()
    assert (second.evicted, harness.evicted()) == (True, [1])


def test_a_client_with_a_token_is_never_evicted() -> None:
    """If all clients have a token, a new client is refused."""
    harness = Harness()
    for client in harness.connect(8):
        harness.admission.release(client)
    harness.now += 60
    assert harness.connect() == []
    assert harness.evicted() == []


def test_a_busy_client_is_not_evicted() -> None:
    """The oldest idle client is evicted instead."""
    harness = Harness()
    harness.connect(7, busy=True)
    harness.connect(1)
    harness.now += 60
    harness.connect(1)
    assert harness.evicted() == [7]


def test_a_limit_of_one_connection_works() -> None:
    """A new client replaces an idle client without a token, but not a client with a token."""
    admission = Admission(1)
    silent, client = FakeClient(), FakeClient()
    assert admission.admit(silent, 1)
    assert admission.admit(client, 2)
    assert silent.evicted
    admission.release(client)
    assert not admission.admit(FakeClient(), 2)
