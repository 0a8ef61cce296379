"""DUPLICATE_RESPONSE=conceal: who signs up does not learn whether the address had a user already.

New and known addresses get the same status, body and headers, and get them at the same time: on a tick. What is left of
the difference between an insert and none is whether it carried an answer over a tick, and a tick is longer than both by
a wide margin.
"""

import asyncio
import math
import time

# Seconds. A hash takes about 0.03 of them, so that an isolate answers at the first tick while few others wait.
TICK = 0.25


async def until_the_next_tick(start: float) -> None:
    """Wait until a multiple of `TICK` has gone by since a request's start, on the monotonic clock.

    In workerd time stands still while code runs and goes on with each I/O, so it is the database's answer that it is
    measured at.
    """
    gone = time.monotonic() - start
    await asyncio.sleep(math.ceil(gone / TICK) * TICK - gone)
