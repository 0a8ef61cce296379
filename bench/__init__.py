"""Benchmarks of the Worker and of sqlproxy, partly in comparison with other implementations.

Absolute times are unreliable on a shared machine, so only measurements of the same run are compared. Every command
stops the processes that it started.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
