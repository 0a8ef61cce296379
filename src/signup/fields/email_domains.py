"""The policy for domains of e-mail addresses. The Worker imports this module only if a setting restricts domains."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import idna

from signup.fields.confusables import mixes_scripts, trim
from signup.fields.email_address import LONGEST_ADDRESS, LONGEST_LABEL, SPECIAL_USE, AddressError, canonical, domain_of

MOST_DOMAINS = 10_000
_WILDCARD = "*."
# Matches the ASCII form of every valid domain. It rejects most wrong entries without email-validator, which is slow.
_SHAPE = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)")
# A label in the ASCII form of IDNA.
_ENCODED = re.compile(r"xn--[^.]*")
# Character classes that make a domain a "Bidi domain name" (RFC 5893), whose labels must be checked together.
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


class DomainListError(ValueError):
    """A list of domains is invalid. The message does not quote the list."""


@dataclass(frozen=True, slots=True)
class DomainList:
    """A list of domains in canonical form.

    Args:
        exact: domains that are listed themselves.
        parents: domains whose subdomains are listed, at any depth.
    """

    exact: frozenset[str]
    parents: frozenset[str]

    def __contains__(self, domain: str) -> bool:
        """Return whether a domain is listed."""
        return domain in self.exact or (bool(self.parents) and any(each in self.parents for each in parents(domain)))


@dataclass(frozen=True, slots=True)
class DomainPolicy:
    """The policy for domains of addresses, from the settings.

    Args:
        allowed: the only domains that are accepted; None for all.
        blocked: domains that are refused, with precedence over `allowed`.
        is_disposable: returns whether a domain provides disposable addresses, which are refused; None to accept them.
    """

    allowed: DomainList | None = None
    blocked: DomainList | None = None
    is_disposable: Callable[[str], bool] | None = None

    def refuses(self, address: str) -> bool:
        """Return whether a canonical address is refused for its domain."""
        domain = domain_of(address)
        return (
            (self.allowed is not None and domain not in self.allowed)
            or (self.blocked is not None and domain in self.blocked)
            or (self.is_disposable is not None and self.is_disposable(domain))
        )


def parents(domain: str) -> list[str]:
    """Return the parent domains of a domain, longest first."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(1, len(labels))]


# Cached, because each list is parsed twice: to check the setting, and to build the policy.
@cache
def parse_domains(text: str) -> DomainList:
    """Parse a comma-separated list of domains.

    An entry is a domain, or `*.` and a domain for its subdomains without the domain itself. Entries follow the rules
    for the domain of an address (`signup.fields.email_address`), so an entry that no address can match is an error.

    Raises:
        DomainListError: an entry is wrong, or there are no entries or too many.
    """
    entries = [entry for part in text.split(",") if (entry := part.strip())]
    if not 0 < len(entries) <= MOST_DOMAINS:
        raise DomainListError(f"must list 1 to {MOST_DOMAINS} domains")
    exact, parent_domains = set(), set()
    for number, entry in enumerate(entries, 1):
        try:
            if entry.startswith(_WILDCARD):
                # Check a subdomain, because the domain may be a top-level domain.
                parent_domains.add(canonical_domain(f"a.{entry.removeprefix(_WILDCARD)}").removeprefix("a."))
            else:
                exact.add(canonical_domain(entry))
        except AddressError as exc:
            reason = f"must list domains like example.com or *.example.com; entry {number} is invalid"
            raise DomainListError(reason) from exc
    return DomainList(frozenset(exact), frozenset(parent_domains))


def canonical_domain(domain: str) -> str:
    """Return a domain in the form that it has in a canonical address.

    Raises:
        AddressError: no address can have this domain.
    """
    text = trim(domain)
    if text.isascii():
        _require_shape(text.lower())
    # `canonical` takes five times as long, which matters for a list of thousands of domains.
    if not text.isascii() or "xn--" in text.lower():
        try:
            decoded = idna.decode(text, uts46=True)
            encoded = idna.encode(decoded.lower()).decode()
        except idna.IDNAError as exc:
            raise AddressError from exc
        _require_shape(encoded)
        if len(f"a@{encoded}") > LONGEST_ADDRESS or any(map(mixes_scripts, decoded.split("."))):
            raise AddressError
        if _RIGHT_TO_LEFT.isdisjoint(map(unicodedata.bidirectional, decoded)):
            # The remaining rules concern dots and top-level domains, not the encoded labels.
            canonical(f"a@{_ENCODED.sub('xx', encoded)}")
            return encoded
    return domain_of(canonical(f"a@{text}"))


def _require_shape(name: str) -> None:
    match = _SHAPE.fullmatch(name)
    if match is None or match[1].isdigit() or match[1] in SPECIAL_USE or max(map(len, name.split("."))) > LONGEST_LABEL:
        raise AddressError
