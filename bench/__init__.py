"""Benchmarks against other implementations. Every command ends by itself and stops what it started.

Absolute times say little on a shared machine, so the results are ratios of measurements of the same run.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
