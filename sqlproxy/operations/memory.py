"""The memory budget of a process for bodies and answers, and the size of its address space."""

from __future__ import annotations

import os
import sys

from sqlproxy.errors import MemoryBusy

__all__ = ["Budget", "Lease", "address_space"]

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Budget:
    """The memory for the bodies and answers of a process.

    Args:
        limit: the largest number of bytes.

    Attributes:
        held: the number of bytes in use.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self.held = 0

    def take(self, size: int) -> None:
        """Reserve bytes.

        Raises:
            MemoryBusy: the limit would be exceeded.
        """
        if self.held + size > self._limit:
            raise MemoryBusy("too many large requests and responses at once; try again")
        self.held += size

    def release(self, size: int) -> None:
        """Release reserved bytes."""
        self.held -= size


class Lease:
    """A request's share of the budget.

    Args:
        budget: the budget of the process.
    """

    __slots__ = ("_budget", "_taken")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._taken = 0

    def take(self, size: int) -> None:
        """Reserve more bytes for the request.

        Raises:
            MemoryBusy: the budget is used up.
        """
        self._budget.take(size)
        self._taken += size

    def end(self) -> None:
        """Release all bytes of the request."""
        self._budget.release(self._taken)
        self._taken = 0


if sys.platform == "linux":

    class _Statm:
        """The open file /proc/self/statm of this process (proc_pid_statm(5))."""

        pid = 0
        file = -1

    def address_space() -> int:
        """Return the size of this process's address space in bytes."""
        if _Statm.pid != os.getpid():
            _Statm.pid, _Statm.file = os.getpid(), os.open("/proc/self/statm", os.O_RDONLY)
        return int(os.pread(_Statm.file, 24, 0).split(None, 1)[0]) * _PAGE

else:  # pragma: no cover - Linux only

    def address_space() -> int:
        """Return 0, because the size is unknown."""
        return 0
