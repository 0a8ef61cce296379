"""Compute the ratios of a run, and render the tables of docs/performance.md."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.load import Sample, Samples
from bench.report import spread, table
from bench.workers.contenders import CONTENDERS, SAME_HASH, SHIPPED, UNHASHED

# The numbers of clients with which the contenders are compared.
FEW, MANY = 1, 16
# Targets: the minimum value of a ratio.
LEAST = {
    "hashed_rps16_vs_better_auth": 2,
    "hashed_rps16_vs_scrypt": 4.5,
    "hashed_p50_1_vs_scrypt": 3.5,
    "same_hash_rps16_vs_hono_neon": 0.9,
    "cold_snapshot_vs_hono_prisma": 0.35,
    "sqlproxy_rps16_vs_executor": 1.5,
    "sqlproxy_p99_16_vs_executor": 1,
    "users_10m_vs_empty": 0.9,
}
# Targets: the maximum value of a ratio, or of the memory in MiB.
MOST = {"refused_cpu_vs_hashed": 0.1, "own_cpu_share": 0.08, "isolate_mib": 100}
_MISSING = "-"


def ratios(samples: Samples) -> dict[str, dict[str, float]]:
    """Return the ratios between contenders: the median, minimum and maximum of all rounds."""

    def compare(ours: str, theirs: str, clients: int, ratio: Callable[[Sample, Sample], float]) -> dict[str, float]:
        pairs = zip(samples[ours, clients], samples[theirs, clients], strict=True)
        return spread([ratio(first, second) for first, second in pairs])

    def rate(mine: Sample, other: Sample) -> float:
        return mine.rate / other.rate

    def cpu(mine: Sample, other: Sample) -> float:
        return mine.cpu / other.cpu

    results = {
        "hashed_rps16_vs_better_auth": compare("ours", "better_auth", MANY, rate),
        "hashed_rps16_vs_scrypt": compare("ours", "ours_scrypt", MANY, rate),
        "hashed_p50_1_vs_scrypt": compare("ours", "ours_scrypt", FEW, lambda mine, other: other.p50 / mine.p50),
        "hyperdrive_rps16_vs_sqlproxy": compare("ours_hyperdrive", "ours", MANY, rate),
        "hyperdrive_unhashed_rps16_vs_sqlproxy": compare("unhashed_hyperdrive", "unhashed_ours", MANY, rate),
    }
    results |= {
        f"same_hash_rps16_vs_{name[5:]}": compare("ours", name, MANY, rate) for name in SAME_HASH if "_" in name
    }
    refused = [compare(name, "ours", MANY, cpu) for name in ("refused_422", "refused_429")]
    results["refused_cpu_vs_hashed"] = max(refused, key=lambda each: each["median"])
    results["own_cpu_share"] = compare("unhashed_ours", "ours", MANY, cpu)
    return results


def markdown(result: Mapping[str, Any]) -> str:
    """Return the tables of all measurements in a result as Markdown."""
    host, detail, all_ratios = result["machine"], result["detail"], result["ratios"]
    rows = [_ratio(name, each) for name, each in all_ratios.items()]
    about = f"{host['cores']} cores ({host['processor']}), {host['system']}, PostgreSQL {host['postgres']}"
    parts = [
        f"Measured at commit {result['commit']} on {about}.",
    ]
    if rows:
        parts.append(table([["", "median", "minimum", "maximum", "target"], *rows]))
    samples = detail.get("sign-ups", {})
    for title, names in (
        ("Default hashes", SHIPPED),
        ("The same Argon2id", SAME_HASH),
        ("Requests that the Worker refuses", ("refused_422", "refused_429")),
        ("Without a hash", UNHASHED),
    ):
        if samples:
            parts.append(f"{title}, at 1 and 16 clients:\n\n{_contenders(samples, list(names))}")
    sections = {"admission": _admission, "memory": _memory, "cold": _cold, "proxies": _proxies, "users": _users}
    parts += [make(detail[name]) for name, make in sections.items() if name in detail]
    return "\n\n".join(parts)


def _ratio(name: str, ratio: Mapping[str, float]) -> list[str]:
    target = f"≥ {LEAST[name]:g}" if name in LEAST else f"≤ {MOST[name]:g}" if name in MOST else ""
    return [name, *(f"{ratio[key]:,.2f}" for key in ("median", "min", "max")), target]


def _contenders(results: Mapping[str, Any], names: Sequence[str]) -> str:
    columns = {
        "p50, ms": ("p50_ms", "1.1f"),
        "p99, ms": ("p99_ms", "1.1f"),
        "per second": ("requests_per_second", "1.1f"),
        "CPU, ms": ("cpu_ms", "1.2f"),
    }

    def cell(by_clients: Mapping[str, Any], key: str, form: str) -> str:
        return " / ".join(f"{by_clients[n][key]:{form}}" if n in by_clients else _MISSING for n in ("1", "16"))

    rows = [[CONTENDERS[name].title, *(cell(results[name], *how) for how in columns.values())] for name in names]
    return table([["", *columns], *rows])


def _admission(results: Mapping[str, Any]) -> str:
    titles = {"201": "sign-ups", "503": "refusals"}
    head = [
        "64 clients",
        *(f"{each}, {what}" for each in titles.values() for what in ("number", "p50, s", "maximum, s")),
    ]
    rows = [
        [kind, *(f"{each[status][key]:,}" for status in titles for key in ("number", "p50_s", "slowest_s"))]
        for kind, each in results.items()
    ]
    return table([head, *rows])


def _memory(results: Mapping[str, Any]) -> str:
    head = [
        "an isolate, MiB",
        "idle",
        "after one sign-up",
        "with 64 clients",
        "WebAssembly",
        "sign-ups",
        "longest response, s",
    ]
    rows = [
        [
            name,
            *(f"{each[key]:.0f}" for key in ("idle_mib", "first_mib")),
            f"{max(each['loaded_mib']):.0f}",
            " + ".join(f"{size:.0f}" for size in each["wasm_mib"]),
            f"{each['sign_ups']:,}",
            f"{each['slowest_s']:.1f}",
        ]
        for name, each in results.items()
    ]
    return table([head, *rows])


def _cold(results: Mapping[str, Any]) -> str:
    rows = [[name, f"{each:,.0f} ms"] for name, each in results["first_answer_ms"].items()]
    return table([["from workerd's start to the first response, without the hash", ""], *rows])


def _proxies(results: Mapping[str, Any]) -> str:
    clients = list(next(iter(results.values())))
    rows = [
        [f"{name}, {title}", *(f"{results[name][n][key]:{form}}" for n in clients)]
        for name in results
        for title, key, form in (("statements per second", "per_second", ",.0f"), ("p99, ms", "p99_ms", ".1f"))
    ]
    return table([["clients", *clients], *rows])


def _users(results: Mapping[str, Any]) -> str:
    rows = [
        [f"{int(size):,}", f"{each['p50_ms']:.2f}", f"{each['p99_ms']:.2f}", f"{each['requests_per_second']:.0f}"]
        for size, each in results.items()
    ]
    return table([["users in the table, without the hash", "p50, ms", "p99, ms", "sign-ups per second"], *rows])
