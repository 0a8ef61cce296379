"""The canonical form of e-mail addresses, in which they are stored and must be unique."""

import re
import unicodedata

import idna

from signup.fields.confusables import JOINERS, is_invisible, mixes_scripts, trim
from signup.problems import FieldCode

# The maximum length of an address in characters: RFC 5321, section 4.5.3.1.3, allows a path of 256 octets with its
# angle brackets. The limit also applies to the canonical form, whose domain may be longer.
LONGEST_ADDRESS = 254
# The maximum number of bytes before the @ (RFC 5321, section 4.5.3.1.1), in UTF-8 (RFC 6531).
LONGEST_LOCAL_PART = 64
# The maximum number of bytes of a domain label (RFC 1035).
LONGEST_LABEL = 63
# Matches nearly every address: plain ASCII, whose canonical form is its lower case.
_LABEL = "[a-z0-9](?:-?[a-z0-9])*"
_PLAIN = re.compile(rf"(?=[^@]{{1,64}}@)[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@((?:{_LABEL}\.)+)([a-z]{{2,63}})")
# Special-use domain names, which receive no e-mail (RFC 6761 and later RFCs).
SPECIAL_USE = frozenset({"arpa", "invalid", "local", "localhost", "onion", "test"})


# The Greek sigma at the end of a word, which has a special lower-case form.
_FINAL_SIGMA = re.compile(r"(?<=[^\W\d_])\u03c3(?![^\W\d_])")
# Separators of the words of a local part. No word may mix scripts.
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
    """Return the domain of a canonical address."""
    return address.rpartition("@")[2]


def is_subaddress(address: str) -> bool:
    """Return whether an address has a detail after a plus (RFC 5233), which gives a mailbox any number of addresses."""
    return "+" in address.rpartition("@")[0]


def canonical(address: str) -> str:
    """Return the address in NFC and lower case, with the domain in the ASCII form of IDNA 2008.

    RFC 5321 lets the receiving host distinguish upper and lower case in the local part, but in practice hosts do not. A
    canonical address is returned unchanged. Quoted local parts and domain literals are valid but refused: they are
    hardly used except to bypass filters. There is no DNS lookup.

    Raises:
        AddressError: the address is malformed, could be confused with another address, or cannot receive mail.
    """
    text = trim(address)
    if len(text) > LONGEST_ADDRESS:
        raise AddressError
    # Check for ASCII before lowering: the lower case of some other letters, such as the Kelvin sign, is ASCII.
    match = _PLAIN.fullmatch(text.lower()) if text.isascii() else None
    if match and match[2] not in SPECIAL_USE and max(map(len, match[1].split("."))) <= LONGEST_LABEL:
        return match[0]
    return _parsed(text)


def _parsed(text: str) -> str:
    # Imported here because few addresses need this module, and its import is slow.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415

    local, at, domain = text.rpartition("@")
    # Fold before the length is checked, because folding can make the local part longer.
    local = fold_case(local)
    if any(map(is_invisible, local)):
        raise AddressError("invisible_character")
    try:
        # Decode xn-- labels, because homographs are detected in the Unicode form.
        if not domain.isascii() or "xn--" in domain.lower():
            domain = idna.decode(domain, uts46=True)
        if domain.lower().rpartition(".")[2] in SPECIAL_USE:
            raise AddressError("reserved_domain")
        # email-validator refuses joiners. IDNA 2008 allows some (RFC 5892, appendix A), which idna has checked.
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
    """Return a text in NFC and lower case, by Unicode's simple case folding.

    Simple folding maps one letter to one letter. `str.casefold` would turn sharp s into ss, which is another mailbox,
    and `str.lower` does not unify the two forms of sigma.
    """
    folded = unicodedata.normalize("NFC", text)
    # Folding can undo NFC, and NFC can compose a letter that folds again.
    while (refolded := unicodedata.normalize("NFC", "".join(map(_fold, folded)))) != folded:
        folded = refolded
    return _FINAL_SIGMA.sub("\u03c2", folded)


def _fold(character: str) -> str:
    folded = character.casefold()
    return (folded if len(folded) == 1 else character).lower()
