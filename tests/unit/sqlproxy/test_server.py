"""Shutdown of the process."""

from __future__ import annotations

import subprocess
import sys
import time


def test_the_process_exits_while_a_thread_is_running() -> None:
    """A host name lookup runs in a thread that cannot be interrupted, and Python would wait for it."""
    script = """
import threading, time
from sqlproxy.server import _exit_within
_exit_within(0.1, 3)
threading.Thread(target=time.sleep, args=[30]).start()
"""
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=25).returncode == 3
    assert time.monotonic() - began < 20
