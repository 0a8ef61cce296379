"""Metrics of several processes: each publishes a snapshot in shared memory, and `/metrics` returns their sum."""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from typing import TYPE_CHECKING, Any

from sqlproxy.operations.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlproxy.operations.metrics import Gauges

__all__ = ["Board", "SharedMetrics"]

_SLOT_BYTES = 64 * 1024
_HEADER = struct.Struct("<II")


class Board:
    """Memory shared by forked processes, with a slot for each process.

    Args:
        slots: the number of slots.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._memory = mmap.mmap(-1, slots * _SLOT_BYTES)

    def write(self, slot: int, snapshot: object) -> None:
        """Replace the snapshot in a slot; a snapshot that does not fit is ignored."""
        text = json.dumps(snapshot).encode()
        if len(text) <= _SLOT_BYTES - _HEADER.size:
            start = slot * _SLOT_BYTES
            self._memory[start : start + _HEADER.size + len(text)] = _HEADER.pack(len(text), zlib.crc32(text)) + text

    def read(self, slot: int) -> dict[str, Any] | None:
        """Return the snapshot in a slot; None if it is empty or being written."""
        start = slot * _SLOT_BYTES
        size, checksum = _HEADER.unpack_from(self._memory, start)
        text = self._memory[start + _HEADER.size : start + _HEADER.size + size]
        if not text or zlib.crc32(text) != checksum:
            return None
        snapshot: dict[str, Any] = json.loads(text)
        return snapshot

    def others(self, own: int) -> Iterator[tuple[int, dict[str, Any] | None]]:
        """Return the slots of all other processes with their snapshots."""
        return ((slot, self.read(slot)) for slot in range(self._slots) if slot != own)


class SharedMetrics(Metrics):
    """The metrics of one of several processes; `render` returns the sum of all processes.

    The replacement of a dead process continues from that process's last snapshot, so that no counter falls to zero.

    Args:
        board: the memory that all processes share.
        slot: the slot of this process.
    """

    def __init__(self, board: Board, slot: int) -> None:
        super().__init__()
        self._board = board
        self._slot = slot
        self._last_known: dict[int, dict[str, Any]] = {}
        if predecessor := board.read(slot):
            self.add(predecessor["metrics"])

    def publish(self, gauges: Gauges) -> None:
        """Write this process's snapshot into its slot, where the other processes read it."""
        values = {name: samples for name, (_, samples) in gauges.items()}
        self._board.write(self._slot, {"metrics": self.snapshot(), "gauges": values})

    def render(self, gauges: Gauges) -> str:
        """Return the sum of this process's current metrics and the other processes' last snapshots."""
        self.publish(gauges)
        total = Metrics()
        total.add(self.snapshot())
        sums = {name: (help_text, dict(samples)) for name, (help_text, samples) in gauges.items()}
        for slot, snapshot in self._board.others(self._slot):
            # While another process writes its slot, use its last known snapshot.
            if snapshot is not None:
                self._last_known[slot] = snapshot
        for snapshot in self._last_known.values():
            total.add(snapshot["metrics"])
            _add_gauges(sums, snapshot["gauges"])
        return total.render(sums)


def _add_gauges(sums: Mapping[str, tuple[str, dict[str, int]]], gauges: Mapping[str, Mapping[str, int]]) -> None:
    for name, (_, samples) in sums.items():
        for label in samples:
            samples[label] += gauges.get(name, {}).get(label, 0)
