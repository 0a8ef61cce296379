"""Response timing that hides whether an address is taken, for DUPLICATE_RESPONSE=conceal and POST /verify/resend.

Responses for new and taken addresses have the same status, body and headers, and are sent on a tick: a multiple of
`TICK` after the request's arrival. An insert changes the timing only if it moves the response past a tick, which is
rare because an insert is much shorter than `TICK`.
"""

import asyncio
import math
import time

# The interval between ticks, in seconds. A hash takes about 0.03 s, so an isolate with a short queue responds at the
# first tick.
TICK = 0.25


async def until_the_next_tick(start: float) -> None:
    """Wait until the time since `start`, a time on the monotonic clock, is a multiple of `TICK`.

    In workerd the clock advances only with I/O, so the measured time is the time up to the database's response.
    """
    elapsed = time.monotonic() - start
    await asyncio.sleep(math.ceil(elapsed / TICK) * TICK - elapsed)
