"""Which connections stay when there are too many, without sockets."""

from __future__ import annotations

from sqlproxy.http.admission import Admission


class Client:
    """A connection of a process that may have eight of them."""

    def __init__(self, *, busy: bool = False) -> None:
        self.busy = busy
        self.evicted = False

    def is_busy(self) -> bool:
        """Return what the test says."""
        return self.busy

    def evict(self) -> None:
        """Remember it."""
        self.evicted = True


class Gate:
    """An admission with eight places and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.admission = Admission(8, clock=lambda: self.now)
        self.clients: list[Client] = []

    def enter(self, count: int = 1, *, busy: bool = False) -> list[Client]:
        """Connect clients, and return those that were let in."""
        entered = []
        for _ in range(count):
            client = Client(busy=busy)
            if self.admission.admit(client, 1 + sum(not each.evicted for each in self.clients)):
                self.clients.append(client)
                entered.append(client)
        return entered

    def evicted(self) -> list[int]:
        """Return the numbers of those that had to go."""
        return [number for number, client in enumerate(self.clients) if client.evicted]


def test_a_burst_is_let_in() -> None:
    """Clients that came within a second may be honest, and are only closed when every place is taken."""
    gate = Gate()
    gate.enter(8)
    assert gate.evicted() == []
    gate.enter()
    assert gate.evicted() == [0]


def test_beyond_the_share_the_oldest_goes() -> None:
    """A quarter may be without a token; with one, a client does not count."""
    gate = Gate()
    first, second, third = gate.enter(3)
    gate.admission.release(first)
    gate.now += 2
    gate.enter()
    assert gate.evicted() == [1]
    gate.admission.release(third)
    gate.enter()
    assert (second.evicted, gate.evicted()) == (True, [1])


def test_a_client_with_a_token_never_goes() -> None:
    """When all have one, it is the new client that is turned away."""
    gate = Gate()
    for client in gate.enter(8):
        gate.admission.release(client)
    gate.now += 60
    assert gate.enter() == []
    assert gate.evicted() == []


def test_a_request_that_is_being_answered_is_not_cut_off() -> None:
    """The oldest without one goes."""
    gate = Gate()
    gate.enter(7, busy=True)
    gate.enter(1)
    gate.now += 60
    gate.enter(1)
    assert gate.evicted() == [7]


def test_one_place_is_enough() -> None:
    """A new client takes the place of a silent one."""
    admission = Admission(1)
    silent, client = Client(), Client()
    assert admission.admit(silent, 1)
    assert admission.admit(client, 2)
    assert silent.evicted
    admission.release(client)
    assert not admission.admit(Client(), 2)
