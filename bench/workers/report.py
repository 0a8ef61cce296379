"""The tables of a run, and the block of docs/performance.md that holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.report import table
from bench.workers.contenders import CONTENDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BEGIN", "END", "PLAIN", "WANTED", "markdown", "put"]

BEGIN, END = "<!-- make bench: begin -->", "<!-- make bench: end -->"
# What was set out for: at least, and for what is no ratio at most.
WANTED = {
    "p50_1_vs_hono_prisma": 1.2,
    "rps16_vs_hono_prisma": 1,
    "p50_1_vs_hono_prisma_kept": 0.6,
    "rps16_vs_hono_prisma_kept": 0.45,
    "p50_1_vs_hono_neon": 0.45,
    "rps16_vs_hono_neon": 0.3,
    "rps16_vs_fastapi": 2,
    "rps16_vs_httpx_stock": 4,
    "hashed_rps16_vs_hono_neon": 0.97,
    "hashed_rps16_vs_better_auth": 1.2,
    "cpu_ms_beyond_floor": 1,
    "cold_snapshot_vs_hono_prisma": 0.5,
    "bundle_gzip_kib": 2150,
    "isolate_mib_64": 128,
    "sqlproxy_rps16_vs_executor": 1.5,
    "sqlproxy_p99_16_vs_executor": 1,
    "users_10m_vs_empty": 0.83,
}
# What is no ratio, and better when it is less; with its unit.
PLAIN = {"cpu_ms_beyond_floor": "ms", "bundle_gzip_kib": "KiB", "isolate_mib_64": "MiB"}
_NONE = "-"


def put(text: str, block: str) -> str:
    """Puts the tables between the two markers of a document.

    Raises:
        ValueError: It does not have each marker once.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError("the document does not have each marker once")
    return f"{text[: text.index(BEGIN)]}{BEGIN}\n{block}\n{text[text.index(END) :]}"


def markdown(result: Mapping[str, Any]) -> str:
    """All tables of a result, as Markdown; of the parts that were measured."""
    where, detail, found = result["machine"], result["detail"], result["ratios"]
    compared = [
        ["above 1, ours is better", "median", "least", "greatest", "wanted"],
        *(_ratio(name, each, WANTED.get(name)) for name, each in found.items() if name not in PLAIN),
    ]
    plain = [
        ["less is better", "median", "least", "greatest", "wanted"],
        *(
            _ratio(f"{name} ({unit})" if unit else name, found[name], WANTED[name])
            for name, unit in PLAIN.items()
            if name in found
        ),
    ]
    about = (
        f"Measured at commit {result['commit']} on {where['cores']} cores ({where['processor']}), {where['system']}, "
        f"PostgreSQL {where['postgres']}."
    )
    parts = [about, *(table(rows) for rows in (compared, plain) if len(rows) > 1)]
    for title, name in (("Without the hash", "sign-ups"), ("With the hash", "hashed")):
        if name in detail:
            parts.append(f"{title}, medians at 1, 16 and 64 clients:\n\n{_contenders(detail[name])}")
    makers = {
        "memory": _memory,
        "cold": _cold,
        "users": _users,
    }
    parts += [make(detail[name]) for name, make in makers.items() if name in detail]
    return "\n\n".join(parts)


def _ratio(name: str, found: Mapping[str, float], wanted: float | None) -> list[str]:
    return [name, *(f"{found[key]:,.2f}" for key in ("median", "min", "max")), _wanted(wanted)]


def _wanted(wanted: float | None) -> str:
    return "" if wanted is None else f"{wanted:,g}"


def _contenders(found: Mapping[str, Any]) -> str:
    columns = {
        "p50, ms": ("p50_ms", "1.2f"),
        "p95, ms": ("p95_ms", "1.1f"),
        "p99, ms": ("p99_ms", "1.1f"),
        "sign-ups a second": ("requests_per_second", "1.1f"),
        "CPU, µs": ("cpu_us", "1.0f"),
        "memory, MiB": ("resident_mib", "1.0f"),
    }

    def cell(by_clients: Mapping[str, Any], key: str, form: str) -> str:
        return " / ".join(f"{by_clients[n][key]:{form}}" if n in by_clients else _NONE for n in ("1", "16", "64"))

    rows = [[CONTENDERS[name].title, *(cell(each, *how) for how in columns.values())] for name, each in found.items()]
    return table([["", *columns], *rows])


def _memory(found: Mapping[str, Any]) -> str:
    titles = {
        "idle_mib": "a JavaScript Worker that does nothing",
        "python_mib": "a Python Worker that answers a constant",
        "first_mib": "ours, after one sign-up",
        "peak_mib": "ours, the most while 64 clients sign up, with the hash",
    }
    return table([["memory of workerd", ""], *([title, f"{found[name]:.0f} MiB"] for name, title in titles.items())])


def _cold(found: Mapping[str, Any]) -> str:
    titles = {name: each.title for name, each in CONTENDERS.items()}
    titles |= {f"{name}_snapshot": f"{title}, from a snapshot" for name, title in titles.items()}
    rows = [[titles[name], f"{each:,.0f} ms"] for name, each in found["first_answer_ms"].items()]
    return table([["workerd's start to the first answer, without the hash", ""], *rows])


def _users(found: Mapping[str, Any]) -> str:
    rows = [
        [f"{int(size):,}", f"{each['p50_ms']:.2f}", f"{each['p99_ms']:.2f}", f"{each['requests_per_second']:.0f}"]
        for size, each in found.items()
    ]
    return table([["users in the table", "p50, ms", "p99, ms", "sign-ups a second"], *rows])
