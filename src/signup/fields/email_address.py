"""The canonical form of an e-mail address, by which it is unique."""

import re
import unicodedata

from signup.fields.confusables import has_invisible, mixes_scripts

# RFC 5321, section 4.5.3.1.3 (a path of 256 octets with its angle brackets). email-validator holds the canonical form
# to it too, whose domain may be longer than what was typed.
LONGEST_ADDRESS = 254
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


class MixedScriptsError(ValueError):
    """A part of the address looks like another one, made with letters of another script."""


class CompatibilityCharacterError(ValueError):
    """The local part has a character that stands for others, such as a ligature."""


def is_subaddress(address: str) -> bool:
    """Say whether an address has a detail after a plus (RFC 5233), by which one mailbox has any number of addresses."""
    return "+" in address.rpartition("@")[0]


def canonical(address: str) -> str:
    """Return the address in NFC and lower case, its domain in the ASCII form of IDNA 2008.

    RFC 5321 leaves the case of the local part to the receiving host; no host in use tells two people apart by it. The
    form of a canonical address is the address itself.
    Quoted local parts and domain literals are refused: they are valid, nobody signs up with them, and they are the
    usual way to smuggle an address past a filter. Nothing is looked up in the DNS.

    Raises:
        MixedScriptsError: a part of it has letters of scripts that do not go together.
        CompatibilityCharacterError: its local part is not in NFKC.
        ValueError: it is not an address; the message does not repeat it.
    """
    if len(address) > LONGEST_ADDRESS:
        raise ValueError(f"must be at most {LONGEST_ADDRESS} characters long")
    text = address.strip()
    # Not lowered before it is seen to be ASCII, since there are letters elsewhere whose lower case is.
    match = _PLAIN.fullmatch(text.lower()) if text.isascii() else None
    if match and match[2] not in SPECIAL_USE and max(map(len, match[1].split("."))) <= LONGEST_LABEL:
        return match[0]
    return _parsed(text)


def _parsed(text: str) -> str:
    # Imported when it is needed, which is seldom: it takes longer to import than all of ours.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415

    local, at, domain = text.rpartition("@")
    try:
        # Folded first, because folding can make it longer.
        parsed = validate_email(f"{fold_case(local)}{at}{domain}", check_deliverability=False)
    except EmailNotValidError as exc:
        raise ValueError("must be an e-mail address, such as ada@example.com") from exc
    local = parsed.local_part
    if has_invisible(local):
        raise ValueError("must be an e-mail address, such as ada@example.com")
    if not unicodedata.is_normalized("NFKC", local):
        raise CompatibilityCharacterError("must not contain ligatures or other compatibility characters before the @")
    # The domain as people read it, also when it came as xn--: that is where a homograph shows.
    if any(mixes_scripts(part) for part in (*_PARTS.split(local), *parsed.domain.split("."))):
        raise MixedScriptsError("must not mix letters of several scripts in one part")
    return f"{local}@{parsed.ascii_domain.lower()}"


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
