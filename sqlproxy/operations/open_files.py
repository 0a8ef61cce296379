"""The limit on open files; each connection is an open file."""

from __future__ import annotations

import sys

__all__ = ["allow_files"]

if sys.platform == "win32":  # pragma: no cover - no such limit

    def allow_files(count: int) -> int:
        """Return the count, because there is no limit to raise."""
        return count

else:
    import resource

    def allow_files(count: int) -> int:
        """Raise the process's soft limit, usually 1024, to a number of files, but not above the hard limit.

        Args:
            count: the number of files needed.

        Returns:
            The number of files allowed; `count` if there is no limit.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return soft if soft != resource.RLIM_INFINITY else count
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
