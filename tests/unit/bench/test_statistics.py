"""What is made of samples."""

from __future__ import annotations

import pytest

from bench.workers import ratios
from bench.workers.books import Entry, verdict
from bench.workers.load import EMAIL_LENGTH, Sample, address, endpoint, summary
from bench.workers.proc import parse_cpu, parse_memory
from bench.workers.rounds import order


def sample(rate: float, p50: float = 0.001, cpu: float = 0.001) -> Sample:
    """What a turn may have come to."""
    return Sample(rate, p50, p50, p50, 10, cpu, 200.4, 0.1)


SAMPLES = {
    ("ours", 1): [sample(1, 0.002), sample(1, 0.004)],
    ("peer", 1): [sample(1, 0.004), sample(1, 0.004)],
    ("ours", 16): [sample(300, cpu=0.003), sample(100, cpu=0.005)],
    ("peer", 16): [sample(100), sample(200)],
    ("floor_fetch", 1): [sample(1), sample(1)],
    ("floor_fetch", 16): [sample(1, cpu=0.001), sample(1, cpu=0.002)],
}


def test_above_one_is_better() -> None:
    """Half the p50 is 2, three times the requests are 3; each round gives one ratio, and a floor is no peer."""
    assert ratios.sign_ups(SAMPLES) == {
        "p50_1_vs_peer": {"median": 1.5, "min": 1.0, "max": 2.0, "runs": 2},
        "rps16_vs_peer": {"median": 1.75, "min": 0.5, "max": 3.0, "runs": 2},
    }
    assert ratios.hashed(SAMPLES) == {"hashed_rps16_vs_peer": {"median": 1.75, "min": 0.5, "max": 3.0, "runs": 2}}


def test_the_floor_is_taken_off() -> None:
    """In milliseconds, round by round."""
    assert ratios.beyond_floor(SAMPLES) == {"cpu_ms_beyond_floor": {"median": 2.5, "min": 2.0, "max": 3.0, "runs": 2}}


def test_a_summary_has_medians_in_the_units_that_are_read() -> None:
    """Milliseconds, microseconds of CPU, and all sign-ups together."""
    assert summary([sample(100, 0.001), sample(300, 0.003), sample(200, 0.002, cpu=0.002)]) == {
        "p50_ms": 2.0,
        "p95_ms": 2.0,
        "p99_ms": 2.0,
        "requests_per_second": 200,
        "cpu_us": 1000,
        "resident_mib": 200,
        "sign_ups": 30,
    }


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_everybody_is_everywhere(count: int) -> None:
    """In twice as many rounds as there are contenders each is first twice, and last twice."""
    names = [f"{number}" for number in range(count)]
    orders = [order(names, number) for number in range(2 * count)]
    assert all(sorted(each) == names for each in orders)
    for place in (0, -1):
        assert sorted(each[place] for each in orders) == sorted([*names, *names])


@pytest.mark.parametrize(
    ("entry", "hashed", "wrong"),
    [
        (Entry(5, 1), False, ""),
        (Entry(5, 5), True, ""),
        (Entry(4, 1), False, "5 sign-ups were answered, and 4 are in the table"),
        (Entry(5, 5), False, "5 passwords have 5 different keys, not 1"),
        (Entry(5, 1), True, "5 passwords have 1 different keys, not 5"),
    ],
)
def test_the_table_must_hold_what_was_answered(entry: Entry, wrong: str, *, hashed: bool) -> None:
    """As many rows, and one key for all of them where there is no hash, and a key each where there is."""
    assert verdict(entry, 5, hashed=hashed) == wrong


def test_addresses_are_of_one_length_and_differ() -> None:
    """Else Content-Length would be wrong, or a sign-up refused."""
    addresses = {address(number) for number in range(1000)}
    assert len(addresses) == 1000
    assert {len(each) for each in addresses} == {EMAIL_LENGTH}


def test_a_request_is_whole() -> None:
    """With further headers, and a length that is right."""
    head, _, body = endpoint(1, "/x", {"origin": "http://a"}).request(address(1)).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /x HTTP/1.1\r\n")
    assert b"\r\norigin: http://a\r\n" in head
    assert b"Content-Length: %d" % len(body) in head


def test_proc_is_read() -> None:
    """The time of user and system, whatever the program calls itself; memory in MiB."""
    stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 9 9 20 0 1 0 1"
    assert parse_cpu(stat, 100) == 3.0
    status = "Name:\tx\nVmHWM:\t  4096 kB\nVmRSS:\t  2048 kB\nRssAnon:\t  1024 kB\nThreads:\t3\n"
    assert parse_memory(status) == {"resident": 2.0, "peak": 4.0, "anonymous": 1.0}
