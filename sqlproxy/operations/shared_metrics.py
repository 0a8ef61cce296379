"""One /metrics for several processes: each writes its numbers where all can read, and whoever is asked adds them up."""

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
_HEAD = struct.Struct("<II")


class Board:
    """A slot for each process, in memory that processes forked later share.

    Args:
        slots: How many.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._memory = mmap.mmap(-1, slots * _SLOT_BYTES)

    def write(self, slot: int, state: object) -> None:
        """Replaces what is in a slot. One that is too large is left as it was."""
        text = json.dumps(state).encode()
        if len(text) <= _SLOT_BYTES - _HEAD.size:
            start = slot * _SLOT_BYTES
            self._memory[start : start + _HEAD.size + len(text)] = _HEAD.pack(len(text), zlib.crc32(text)) + text

    def read(self, slot: int) -> dict[str, Any] | None:
        """What is in a slot; None when there is nothing, or its owner is writing just now."""
        start = slot * _SLOT_BYTES
        size, checksum = _HEAD.unpack_from(self._memory, start)
        text = self._memory[start + _HEAD.size : start + _HEAD.size + size]
        if not text or zlib.crc32(text) != checksum:
            return None
        state: dict[str, Any] = json.loads(text)
        return state

    def others(self, own: int) -> Iterator[tuple[int, dict[str, Any] | None]]:
        """What is in all slots but one's own."""
        return ((slot, self.read(slot)) for slot in range(self._slots) if slot != own)


class SharedMetrics(Metrics):
    """The metrics of one process among several, which render as their sum.

    A process that takes the place of one that died goes on from the numbers it left: a counter never runs backwards.

    Args:
        board: Of all of them.
        slot: Of this process.
    """

    def __init__(self, board: Board, slot: int) -> None:
        super().__init__()
        self._board = board
        self._slot = slot
        self._seen: dict[int, dict[str, Any]] = {}
        if left := board.read(slot):
            self.add(left["metrics"])

    def publish(self, gauges: Gauges) -> None:
        """Writes this process' numbers for the others."""
        values = {name: samples for name, (_, samples) in gauges.items()}
        self._board.write(self._slot, {"metrics": self.state(), "gauges": values})

    def render(self, gauges: Gauges) -> str:
        """The sum of all processes: this one's numbers now, the others' as they last published them."""
        self.publish(gauges)
        total = Metrics()
        total.add(self.state())
        sums = {name: (about, dict(samples)) for name, (about, samples) in gauges.items()}
        for slot, state in self._board.others(self._slot):
            # While its owner writes, the last known numbers do.
            if state is not None:
                self._seen[slot] = state
        for state in self._seen.values():
            total.add(state["metrics"])
            _add(sums, state["gauges"])
        return total.render(sums)


def _add(sums: Mapping[str, tuple[str, dict[str, int]]], gauges: Mapping[str, Mapping[str, int]]) -> None:
    for name, (_, samples) in sums.items():
        for label in samples:
            samples[label] += gauges.get(name, {}).get(label, 0)
