"""The canonical form of an e-mail address, by which it is unique."""

import re
import unicodedata

import idna

from signup.fields.confusables import JOINERS, is_invisible, mixes_scripts, trimmed
from signup.problems import FieldCode

# RFC 5321, section 4.5.3.1.3 (a path of 256 octets with its angle brackets). email-validator holds the canonical form
# to it too, whose domain may be longer than what was typed.
LONGEST_ADDRESS = 254
# Bytes before the @ (RFC 5321, section 4.5.3.1.1; RFC 6531 counts those of UTF-8).
LONGEST_LOCAL_PART = 64
# In a domain (RFC 1035).
LONGEST_LABEL = 63
# Nearly every address: nothing in it needs a second look, and what stands for it is itself in lower case.
_LABEL = "[a-z0-9](?:-?[a-z0-9])*"
_PLAIN = re.compile(rf"(?=[^@]{{1,64}}@)[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@((?:{_LABEL}\.)+)([a-z]{{2,63}})")
# Names that no mail reaches (RFC 6761 and those after it).
SPECIAL_USE = frozenset({"arpa", "invalid", "local", "localhost", "onion", "test"})


# Greek writes its sigma in another form at the end of a word; that form has no capital of its own.
_FINAL_SIGMA = re.compile(r"(?<=[^\W\d_])\u03c3(?![^\W\d_])")
# What parts the words of a local part; a script is that of a word.
_PARTS = re.compile(r"[.+]")
_NO_JOINERS = dict.fromkeys(map(ord, JOINERS))


class AddressError(ValueError):
    """An address is refused.

    Args:
        code: the code of the error.
    """

    def __init__(self, code: FieldCode = "not_an_email_address") -> None:
        super().__init__(code)
        self.code = code


def domain_of(address: str) -> str:
    """Return what follows the @ of a canonical address."""
    return address.rpartition("@")[2]


def is_subaddress(address: str) -> bool:
    """Say whether an address has a detail after a plus (RFC 5233), by which one mailbox has any number of addresses."""
    return "+" in address.rpartition("@")[0]


def canonical(address: str) -> str:
    """Return the address in NFC and lower case, its domain in the ASCII form of IDNA 2008.

    RFC 5321 leaves the case of the local part to the receiving host; no host in use tells two people apart by it. The
    form of a canonical address is the address itself.
    Quoted local parts and domain literals are refused: they are valid, not used in practice, and the
    usual way to smuggle an address past a filter. Nothing is looked up in the DNS.

    Raises:
        AddressError: it is not an address, or one that looks like another one, or that no mail reaches.
    """
    text = trimmed(address)
    if len(text) > LONGEST_ADDRESS:
        raise AddressError
    # Not lowered before it is seen to be ASCII, since there are letters elsewhere whose lower case is.
    match = _PLAIN.fullmatch(text.lower()) if text.isascii() else None
    if match and match[2] not in SPECIAL_USE and max(map(len, match[1].split("."))) <= LONGEST_LABEL:
        return match[0]
    return _parsed(text)


def _parsed(text: str) -> str:
    # Imported when it is needed, which is seldom: it takes longer to import than all of ours.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415

    local, at, domain = text.rpartition("@")
    # Folded first, because folding can make it longer.
    local = fold_case(local)
    if any(map(is_invisible, local)):
        raise AddressError("invisible_character")
    try:
        # The domain as people read it, also when it came as xn--: that is where a homograph shows.
        if not domain.isascii() or "xn--" in domain.lower():
            domain = idna.decode(domain, uts46=True)
        if domain.lower().rpartition(".")[2] in SPECIAL_USE:
            raise AddressError("reserved_domain")
        # email-validator refuses the joiners that IDNA 2008 allows (RFC 5892, appendix A), which idna has judged.
        validate_email(f"{local}{at}{domain.translate(_NO_JOINERS)}", check_deliverability=False)
        canonical_domain = idna.encode(domain.lower()).decode()
    except (EmailNotValidError, idna.IDNAError) as exc:
        raise AddressError from exc
    if len(local.encode()) > LONGEST_LOCAL_PART:
        raise AddressError
    if not unicodedata.is_normalized("NFKC", local):
        raise AddressError("compatibility_character")
    if any(mixes_scripts(part) for part in (*_PARTS.split(local), *domain.split("."))):
        raise AddressError("mixed_scripts")
    if len(address := f"{local}@{canonical_domain}") > LONGEST_ADDRESS:
        raise AddressError
    return address


def fold_case(text: str) -> str:
    """Return a text in NFC without differences of case: Unicode's simple case folding, written in lower case.

    Simple folding maps one letter to one letter. `str.casefold` would turn sharp s into ss, which is another mailbox,
    and `str.lower` keeps the two forms of sigma apart.
    """
    folded = unicodedata.normalize("NFC", text)
    # A mapping can undo NFC, and composing can make a letter that has a mapping.
    while (again := unicodedata.normalize("NFC", "".join(map(_fold, folded)))) != folded:
        folded = again
    return _FINAL_SIGMA.sub("\u03c2", folded)


def _fold(character: str) -> str:
    folded = character.casefold()
    return (folded if len(folded) == 1 else character).lower()
