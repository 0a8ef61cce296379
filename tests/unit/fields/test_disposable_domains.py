"""The list of domains of disposable addresses."""

import tracemalloc

import pytest

from devstack.documents import RELAYS, disposable_domains
from signup.fields.disposable_domains import LIST, has_line, is_disposable


def read_list() -> list[str]:
    """Return the domains of the list."""
    return [line for line in LIST.read_text(encoding="ascii").splitlines() if not line.startswith("#")]


def test_listed_domains_and_their_subdomains_are_found() -> None:
    """Domains that only begin or end like a listed one are not found."""
    domains = read_list()
    assert len(domains) > 9000
    assert all(map(is_disposable, domains))
    others = [name for domain in domains[::20] for name in (f"{domain}0", f"not{domain}") if name not in domains]
    assert not any(map(is_disposable, others))
    assert all(is_disposable(f"a.b.{domain}") for domain in domains[::20])


@pytest.mark.parametrize(
    "domain", [*RELAYS, *(f"ada.{relay}" for relay in RELAYS), "gmail.com", "example.com", "com", "#"]
)
def test_relays_and_mail_services_are_not_disposable(domain: str) -> None:
    """Relays of Apple, Firefox and DuckDuckGo forward to a real mailbox."""
    assert not is_disposable(domain)


def test_a_generated_list_omits_relays() -> None:
    """The list is sorted, and also omits the relays' parent domains and domains that no address can have."""
    names = [
        "b.example",
        "duck.com",
        "appleid.com",
        "x.mozmail.com",
        "*.example",
        "\U0001f62d.example",
        "a-b.example",
        "a.example",
    ]
    text = disposable_domains(names, "1.2.3")
    assert text.splitlines()[2:] == ["a-b.example", "a.example", "b.example"]
    assert "disposable-email-domains 1.2.3 " in text
    lines = [line.encode() for line in text.splitlines()]
    assert lines == sorted(lines)


@pytest.mark.parametrize("lines", [[], [b"a"], [b"a", b"b"], [b"", b"aa", b"b", b"bcd", b"c"]])
def test_lines_are_found_by_bisection(lines: list[bytes]) -> None:
    """Exactly the lines of the file are found, from the first to the last."""
    packed = b"".join(line + b"\n" for line in lines)
    for line in (b"", b"a", b"aa", b"ab", b"b", b"bc", b"bcd", b"c", b"d"):
        assert has_line(packed, line) is (line in lines)


def test_the_list_takes_little_memory() -> None:
    """The bytes of the file take less than 200 kB; a set of the domains takes more than five times as much."""
    tracemalloc.start()
    try:
        packed = LIST.read_bytes()
        file_size, _ = tracemalloc.get_traced_memory()
        domains = frozenset(packed.split(b"\n"))
        total_size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert file_size < 200_000
    assert total_size - file_size > 5 * file_size
    assert domains
