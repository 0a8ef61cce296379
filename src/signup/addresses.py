"""The canonical form of an e-mail address, by which it is unique."""

import unicodedata

from email_validator import EmailNotValidError, validate_email

# RFC 5321, section 4.5.3.1.3 (a path of 256 octets with its angle brackets). email-validator holds the canonical form
# to it too, whose domain may be longer than what was typed.
LONGEST_ADDRESS = 254


def canonical(address: str) -> str:
    """Return the address in NFC and lower case, its domain in the ASCII form of IDNA 2008.

    RFC 5321 leaves the case of the local part to the receiving host; no host in use tells two people apart by it.
    Quoted local parts and domain literals are refused: they are valid, nobody signs up with them, and they are the
    usual way to smuggle an address past a filter. Nothing is looked up in the DNS.

    Raises:
        ValueError: it is not an address; the message does not repeat it.
    """
    if len(address) > LONGEST_ADDRESS:
        raise ValueError(f"must be at most {LONGEST_ADDRESS} characters long")
    try:
        parsed = validate_email(address.strip(), check_deliverability=False)
    except EmailNotValidError as exc:
        raise ValueError("must be an e-mail address, such as ada@example.com") from exc
    # Lower case can undo NFC, so it is brought into it again.
    local = unicodedata.normalize("NFC", parsed.local_part.lower())
    return f"{local}@{parsed.ascii_domain.lower()}"
