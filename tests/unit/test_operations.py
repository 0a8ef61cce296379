"""What JavaScript ends and Python waits for, on CPython's own tasks."""

import asyncio

import pytest

from signup.operations import LONGEST, LOOK_EVERY, Operation, Operations

pytestmark = pytest.mark.anyio


class Begun:
    """What was begun, as JavaScript sees it, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.numbers: list[int] = []
        self.operations = Operations(lambda: self.now)

    def begin(self, number: int, *arguments: object) -> None:
        """Take a number."""
        assert arguments == ("a", 1)
        self.numbers.append(number)

    async def start(self) -> asyncio.Task[tuple[object, ...]]:
        """Begin one, and return its task, which waits."""
        task = asyncio.create_task(waiting(self.operations.run(self.begin, "a", 1)))
        await asyncio.sleep(0)
        return task


async def waiting(operation: Operation) -> tuple[object, ...]:
    """Wait for it."""
    return await operation


async def test_each_ends_with_its_own_values() -> None:
    """In whatever order they end; without values when it failed."""
    begun = Begun()
    tasks = [await begun.start() for _ in range(3)]
    for number, values in reversed(list(zip(begun.numbers, [(1, "x"), (), (None,)], strict=True))):
        begun.operations.settle(number, *values)
    assert await asyncio.gather(*tasks) == [(1, "x"), (), (None,)]


async def test_its_task_goes_on_at_once() -> None:
    """Within the call that ends it, without a turn of the event loop."""
    begun = Begun()
    done: list[object] = []

    async def wait() -> None:
        done.append(await begun.operations.run(begun.begin, "a", 1))

    def end() -> None:
        begun.operations.settle(begun.numbers[0], "end")
        done.append("settled")

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(end)
    await task
    assert done == [("end",), "settled"]


async def test_one_may_end_while_it_begins() -> None:
    """Then there is nothing to wait for."""
    operations = Operations()
    assert await operations.run(lambda number: operations.settle(number, 7)) == (7,)


@pytest.mark.parametrize("late", [True, False])
async def test_a_task_can_be_cancelled(*, late: bool) -> None:
    """As any other, by a deadline too; what JavaScript says later counts for nothing."""
    begun = Begun()
    task = await begun.start()
    assert task.cancel()
    if late:
        begun.operations.settle(begun.numbers[0], "end")
    with pytest.raises(asyncio.CancelledError):
        await task
    begun.operations.settle(begun.numbers[0], "end")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await begun.operations.run(begun.begin, "a", 1)


async def test_a_task_may_be_cancelled_between_the_end_and_its_turn() -> None:
    """When what it waited for is there and it has not seen that yet, it is cancelled nonetheless."""
    operations = Operations()
    numbers: list[int] = []
    task = asyncio.create_task(waiting(operations.run(numbers.append)))
    await asyncio.sleep(0)
    operations.settle(numbers[0], 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_never_ends_is_forgotten() -> None:
    """Requests whose clients went away are not kept for ever, and nobody else's is touched."""
    begun = Begun()
    first = await begun.start()
    begun.now = LONGEST / 2
    second = await begun.start()
    begun.now = LONGEST
    others = [await begun.start() for _ in range(LOOK_EVERY)]
    for number in begun.numbers:
        begun.operations.settle(number)
    await asyncio.sleep(0.01)
    assert [task.done() for task in (first, second, *others)] == [False, *[True] * (1 + LOOK_EVERY)]
    first.cancel()
