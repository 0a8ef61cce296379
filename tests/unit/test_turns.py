"""Turns of the event loop, on one that never runs."""

import asyncio
from collections.abc import Iterator

import pytest

from signup.turns import Turns


class Posted:
    """JavaScript, which gives a turn for each time that it was asked to."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.asked = 0
        self.turns = Turns(loop, self._post, asyncio.Task)

    def run(self) -> None:
        """Give a turn to whoever asked."""
        self.asked -= 1
        self.turns.run()

    def _post(self) -> None:
        self.asked += 1


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Return a loop that is current, and does not run."""
    it = asyncio.SelectorEventLoop()
    yield it
    asyncio._set_running_loop(None)  # noqa: SLF001 - which running a turn has set
    it.close()


def test_one_turn_runs_all_that_wait(loop: asyncio.AbstractEventLoop) -> None:
    """In their order, those included that are queued meanwhile; JavaScript is asked once."""
    posted = Posted(loop)
    done: list[object] = []

    def first() -> None:
        done.append(1)
        posted.turns.call_soon(done.append, 4)

    posted.turns.call_soon(first)
    posted.turns.call_soon(done.append, 2)
    posted.turns.call_soon(done.append, 3).cancel()
    assert (done, posted.asked) == ([], 1)
    posted.run()
    assert (done, posted.asked) == ([1, 2, 4], 0)
    posted.turns.call_soon(done.append, 5)
    posted.run()
    assert done == [1, 2, 4, 5]


def test_what_fails_takes_nothing_else_with_it(loop: asyncio.AbstractEventLoop) -> None:
    """An exception is told to the loop, and the next is called."""
    posted = Posted(loop)
    told: list[object] = []
    loop.set_exception_handler(lambda _, context: told.append(type(context["exception"])))
    posted.turns.call_soon(lambda: 1 / 0)
    posted.turns.call_soon(told.append, "next")
    posted.run()
    assert told == [ZeroDivisionError, "next"]


def test_what_ends_a_turn_is_followed_by_another(loop: asyncio.AbstractEventLoop) -> None:
    """KeyboardInterrupt goes through, and what waited behind it gets its turn all the same."""
    posted = Posted(loop)
    done: list[object] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    posted.turns.call_soon(interrupt)
    posted.turns.call_soon(done.append, 1)
    with pytest.raises(KeyboardInterrupt):
        posted.run()
    assert (done, posted.asked) == ([], 1)
    posted.run()
    assert (done, posted.asked) == ([1], 0)


def test_a_task_goes_on_in_turns(loop: asyncio.AbstractEventLoop) -> None:
    """It is made as it was asked for, and the loop is the running one, whatever stack JavaScript called on."""
    posted = Posted(loop)
    loop.call_soon = posted.turns.call_soon  # type: ignore[method-assign]

    async def work() -> str:
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)
        return "done"

    task = posted.turns.create_task(work(), name="worker")
    assert (asyncio._get_running_loop(), task.get_name()) == (loop, "worker")  # noqa: SLF001 - what was set
    while posted.asked:
        posted.run()
    assert task.result() == "done"
