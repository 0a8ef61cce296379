"""Benchmarks, most of them against other implementations. Every command stops the processes that it started.

Absolute times are unreliable on a shared machine, so most results are ratios between measurements of one run.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
