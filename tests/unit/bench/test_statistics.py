"""Statistics of the Worker benchmark, its requests, and the figures that it reads from /proc."""

from __future__ import annotations

import pytest

from bench.client import address
from bench.load import Sample, parse_cpu, summary
from bench.workers import report
from bench.workers.contenders import CONTENDERS
from bench.workers.measurement import order
from bench.workers.memory import wasm_memories
from bench.workers.row_counts import NewRows, find_mismatch
from bench.workers.workerd import endpoint


def sample(rate: float, p50: float = 0.001, cpu: float = 0.001) -> Sample:
    """Return a sample with these figures."""
    return Sample(rate, p50, p50, p50, 10, cpu, p50)


def test_ratios_compare_rounds() -> None:
    """Each round gives one ratio. Three times the requests per second give 3, and a fifth of the p50 gives 5."""
    samples = {(name, clients): [sample(100), sample(200)] for name in CONTENDERS for clients in (1, 16)}
    samples["ours", 1] = [sample(1, 0.001), sample(1, 0.002)]
    samples["ours_scrypt", 1] = [sample(1, 0.005), sample(1, 0.002)]
    samples["ours", 16] = [sample(300, cpu=0.040), sample(100, cpu=0.020)]
    samples["unhashed_ours", 16] = [sample(1, cpu=0.002)] * 2
    samples["refused_422", 16] = [sample(1, cpu=0.004)] * 2
    ratios = report.ratios(samples)
    assert ratios["hashed_p50_1_vs_scrypt"] == {"median": 3.0, "min": 1.0, "max": 5.0, "runs": 2}
    assert ratios["own_cpu_share"] == {"median": 0.075, "min": 0.05, "max": 0.1, "runs": 2}
    assert ratios["refused_cpu_vs_hashed"] == {"median": 0.15, "min": 0.1, "max": 0.2, "runs": 2}
    peers = ("hashed_rps16_vs_better_auth", "hashed_rps16_vs_scrypt", "same_hash_rps16_vs_hono_neon")
    assert [ratios[name]["median"] for name in peers] == [1.75] * 3
    assert ratios.keys() >= {*report.LEAST, *report.MOST} - {
        *("isolate_mib", "cold_snapshot_vs_hono_prisma", "users_10m_vs_empty"),
        *("sqlproxy_rps16_vs_executor", "sqlproxy_p99_16_vs_executor"),
    }


def test_a_summary_has_medians() -> None:
    """Times and CPU time are in milliseconds, and the number of sign-ups is a total."""
    assert summary([sample(100, 0.001), sample(300, 0.003), sample(200, 0.002, cpu=0.002)]) == {
        "p50_ms": 2.0,
        "p95_ms": 2.0,
        "p99_ms": 2.0,
        "requests_per_second": 200,
        "cpu_ms": 1.0,
        "sign_ups": 30,
    }


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_each_contender_runs_first_and_last_equally_often(count: int) -> None:
    """In twice as many rounds as contenders, each is first twice and last twice."""
    names = [f"{number}" for number in range(count)]
    orders = [order(names, number) for number in range(2 * count)]
    assert all(sorted(each) == names for each in orders)
    for position in (0, -1):
        assert sorted(each[position] for each in orders) == sorted([*names, *names])


@pytest.mark.parametrize(
    ("entry", "hashed", "message"),
    [
        (NewRows(5, 1), False, ""),
        (NewRows(5, 5), True, ""),
        (NewRows(4, 1), False, "5 sign-ups succeeded, but the table has 4 new rows"),
        (NewRows(5, 5), False, "5 passwords have 5 different keys, not 1"),
        (NewRows(5, 1), True, "5 passwords have 1 different keys, not 5"),
    ],
)
def test_rows_and_keys_must_match_the_confirmed_sign_ups(entry: NewRows, message: str, *, hashed: bool) -> None:
    """There is one row per sign-up, and one derived key in total without hashing, or one per row with hashing."""
    assert find_mismatch(entry, 5, hashed=hashed) == message


def test_addresses_are_unique_and_of_equal_length() -> None:
    """Another length would make Content-Length wrong, and a repeated address would be rejected."""
    addresses = {address(number) for number in range(1000)}
    assert len(addresses) == 1000
    assert len({len(each) for each in addresses}) == 1


def test_a_request_has_its_headers_and_content_length() -> None:
    """Additional headers are included."""
    head, _, body = endpoint((1, 2), "/x", {"origin": "http://a"}).request(address(1)).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /x HTTP/1.1\r\n")
    assert b"\r\norigin: http://a\r\n" in head
    assert b"Content-Length: %d" % len(body) in head


def test_cpu_time_is_parsed_from_proc() -> None:
    """The CPU time is user plus system time. The program's name may contain spaces and parentheses."""
    stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 9 9 20 0 1 0 1"
    assert parse_cpu(stat, 100) == 3.0


def test_webassembly_memories_are_found_in_the_mappings() -> None:
    """A memory is the accessible part of a reservation of 2 or 4 GiB; adjacent merged mappings do not count."""
    maps = """\
1e291a200000-1e291afc0000 rw-p 00000000 00:00 0
1e291afc0000-1e2a19a00000 ---p 00000000 00:00 0
556239899000-55623e05b000 r-xp 02537000 08:01 131 /workerd
7fc0508e0000-7fc051d20000 rw-p 00000000 00:00 0
7fc051d20000-7fc0d0a01000 ---p 00000000 00:00 0
7fc0d0a01000-7fc0d0af7000 rw-p 00000000 00:00 0
7fc0d0bf0000-7fc0d3730000 rw-p 00000000 00:00 0
7fc0d3730000-7fc1d0bf0000 ---p 00000000 00:00 0
"""
    assert wasm_memories(maps) == [19.125, 43.25]
