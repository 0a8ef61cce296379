"""How many files, which connections are too, the process may have open."""

from __future__ import annotations

import sys

__all__ = ["allow_files"]

if sys.platform == "win32":  # pragma: no cover - there is no such limit

    def allow_files(count: int) -> int:
        """Does nothing."""
        return count

else:
    import resource

    def allow_files(count: int) -> int:
        """Raises the process's own limit as far as the system lets it: a shell's usual 1024 are soon used up.

        Args:
            count: Wanted.

        Returns:
            How many there may be.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return soft if soft != resource.RLIM_INFINITY else count
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
