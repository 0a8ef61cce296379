"""Bounds on the memory of a process: for the bodies and answers that it holds, and for what libpq buffers."""

from __future__ import annotations

import os
import sys

from sqlproxy.errors import MemoryBusy

__all__ = ["Budget", "Lease", "address_space"]

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Budget:
    """The bytes of bodies and answers that a process holds at a time.

    Args:
        limit: The most.

    Attributes:
        held: How many there are.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self.held = 0

    def take(self, size: int) -> None:
        """Counts bytes in.

        Raises:
            MemoryBusy: That would be more than the limit.
        """
        if self.held + size > self._limit:
            raise MemoryBusy("too many large requests and answers at once, try again")
        self.held += size

    def release(self, size: int) -> None:
        """Counts bytes out."""
        self.held -= size


class Lease:
    """What one request holds of a budget.

    Args:
        budget: Of the process.
    """

    __slots__ = ("_budget", "_taken")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._taken = 0

    def take(self, size: int) -> None:
        """Takes more bytes.

        Raises:
            MemoryBusy: The budget has no more.
        """
        self._budget.take(size)
        self._taken += size

    def end(self) -> None:
        """Gives all of it back."""
        self._budget.release(self._taken)
        self._taken = 0


if sys.platform == "linux":

    class _Statm:
        """The file /proc/self/statm (proc_pid_statm(5)), kept open by each process."""

        pid = 0
        file = -1

    def address_space() -> int:
        """Returns the size of this process's address space in bytes."""
        if _Statm.pid != os.getpid():
            _Statm.pid, _Statm.file = os.getpid(), os.open("/proc/self/statm", os.O_RDONLY)
        return int(os.pread(_Statm.file, 24, 0).split(None, 1)[0]) * _PAGE

else:  # pragma: no cover - only Linux tells

    def address_space() -> int:
        """Returns 0: the size is not known."""
        return 0
