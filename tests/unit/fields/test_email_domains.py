"""Lists of domains, and the addresses that they accept or refuse."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signup.fields.confusables import trim
from signup.fields.email_address import AddressError, canonical, domain_of
from signup.fields.email_domains import (
    MOST_DOMAINS,
    DomainListError,
    DomainPolicy,
    canonical_domain,
    parse_domains,
)

# Parts of domains in several scripts, with characters that IDNA maps, drops or refuses.
PARTS = [
    *(
        "a",
        "B",
        "\u00fc",
        "\u00dc",
        "\u00df",
        "\u1e9e",
        "\u03c2",
        "\u0431",
        "\u65e5",
        "\u672c\u30fc",
        "\u0131",
        "\u0130",
    ),
    *("-", "--", ".", "\u3002", "\uff0e", "xn--", "xn--bcher-kva", "xn--p1ai", "\u200c", "\u200d", "\u200b", "\u00ad"),
    *("@", "*", "_", "1", "\u0661", "\u05d0", "\u0627", "e\u0301", "\u0301", "test", "com", "\uff46", "\ufb01", "\x00"),
    *("\u0915\u094d\u200d\u0937", "[1.2.3.4]", "\U0001f984", "a" * 63, "\u00fc" * 50),
]


@pytest.mark.parametrize(
    ("entry", "domain", "listed"),
    [
        ("example.com", "example.com", True),
        ("example.com", "www.example.com", False),
        ("example.com", "badexample.com", False),
        ("*.example.com", "example.com", False),
        ("*.example.com", "www.example.com", True),
        ("*.example.com", "a.b.c.example.com", True),
        ("*.example.com", "badexample.com", False),
        ("*.example.com", "example.com.example.org", False),
        ("*.ac.uk", "cs.example.ac.uk", True),
        ("*.edu", "mit.edu", True),
        (" EXAMPLE.Com ", "example.com", True),
        ("B\u00dcCHER.example", "xn--bcher-kva.example", True),
        ("xn--bcher-KVA.example", "xn--bcher-kva.example", True),
        ("*.b\u00fccher.example", "mail.xn--bcher-kva.example", True),
        ("*.\u0440\u0444", "xn--80a.xn--p1ai", True),
        ("\uff45xample\u3002com", "example.com", True),
        ("stra\u00dfe.example", "strasse.example", False),
        ("a.example,, b.example,", "b.example", True),
    ],
)
def test_an_entry_is_a_domain_or_its_subdomains(entry: str, domain: str, listed: bool) -> None:
    """A wildcard matches subdomains at any depth but not the domain itself; entries are compared in canonical form."""
    assert (domain in parse_domains(entry)) is listed


@given(
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=6).map("".join),
    st.sampled_from(["", ".com", ".\u0440\u0444"]),
)
def test_a_domain_has_the_same_form_as_in_an_address(prefix: str, suffix: str) -> None:
    """The faster function for domains gives the same results as the one for addresses."""
    domain = trim(prefix + suffix)
    actual = expected = None
    with contextlib.suppress(AddressError):
        expected = domain_of(canonical(f"a@{domain}"))
    with contextlib.suppress(AddressError):
        actual = canonical_domain(domain)
    assert actual == expected


@pytest.mark.parametrize(
    ("allowed", "blocked", "accepted"),
    [
        (None, None, {"a.example", "b.a.example", "other.example"}),
        ("a.example", None, {"a.example"}),
        ("a.example,*.a.example", None, {"a.example", "b.a.example"}),
        (None, "*.a.example", {"a.example", "other.example"}),
        ("a.example,*.a.example", "b.a.example", {"a.example"}),
    ],
)
def test_blocked_domains_take_precedence(allowed: str | None, blocked: str | None, accepted: set[str]) -> None:
    """Without a list of allowed domains, every domain that is not blocked is accepted."""
    allowed_domains, blocked_domains = (None if text is None else parse_domains(text) for text in (allowed, blocked))
    policy = DomainPolicy(allowed_domains, blocked_domains)
    domains = ("a.example", "b.a.example", "other.example")
    assert {each for each in domains if not policy.refuses(f"ada@{each}")} == accepted


@pytest.mark.parametrize(
    ("pattern", "number"),
    [("d{}.example.com", MOST_DOMAINS), ("*.d{}.example.com", MOST_DOMAINS), ("b\u00fccher{}.example", 1000)],
    ids=["domains", "subdomains", "IDNA"],
)
def test_long_lists_are_parsed_quickly(pattern: str, number: int) -> None:
    """Parsing takes less than a second of CPU time; a list with more than 10,000 entries is an error."""
    text = ",".join(pattern.format(each) for each in range(number))
    start = time.process_time()
    domains = parse_domains.__wrapped__(text)
    assert time.process_time() - start < 1
    assert len(domains.exact) + len(domains.parents) == number
    if number == MOST_DOMAINS:
        with pytest.raises(DomainListError, match="must list 1 to 10000 domains"):
            parse_domains.__wrapped__(f"{text},one.example")
