"""Measurements, and the peers they are measured against. Every command is bounded and stops what it started.

Absolute times say little on a shared machine: what is reported are ratios of things measured in one run.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
