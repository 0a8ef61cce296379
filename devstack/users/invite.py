"""Invite people to sign up, show the uses of an invitation, and revoke it: `make invite ARGS='ada@example.com'`.

Exit status: 0 success; 1 the database failed, or has no table of invitations; 2 usage error.
"""

import argparse
import os
import re
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import psycopg

from devstack.postgres.connection import DatabaseError
from devstack.setup.bootstrap import ROOT
from devstack.setup.console import fail, printable
from devstack.stack import dev_vars
from devstack.users.session import connected
from signup.fields.email_address import AddressError, canonical
from signup.fields.email_domains import DomainListError, parse_domains
from signup.fields.models import INVITATION_FIELD
from signup.invitations.tokens import Invitation, InvitationTokens
from signup.problems import BadInvitation, Misconfigured
from signup.settings import Settings

_SECRET, _URL = "INVITATION_SECRET", "PUBLIC_URL"
_UNITS = {"m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,6})([mhd])", re.ASCII)
# Limits of --expires in seconds, and its default.
SHORTEST, DEFAULT, LONGEST = 300, "7d", 365 * 86400
MOST_USES = 100_000
ID_BYTES = 16
# The number of uses that is stored for a revoked invitation: the maximum of the column.
REVOKED = 2**31 - 1

_USES = 'SELECT uses FROM "SignUpInvitation" WHERE id = %s'
_REVOKE = """
    INSERT INTO "SignUpInvitation" (id, uses, expires_at) VALUES (%s, %s, to_timestamp(%s))
    ON CONFLICT (id) DO UPDATE SET uses = excluded.uses
"""
_EPILOG = """\
commands for an invitation, which need DATABASE_URL=postgres://... as `make users` does:
  uses LINK     show how often it was used
  revoke LINK   revoke it, so that it cannot be used again
INVITATION_SECRET and PUBLIC_URL are read from the environment, or else from .dev.vars. See docs/users.md."""
_CAUSES = {
    "invalid_token": "LINK is not an invitation, or is incomplete",
    "invalid_signature": f"no key in {_SECRET} signed this invitation",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else [*arguments]
    is_command = arguments[:1] in (["uses"], ["revoke"])
    parser = _command_parser(arguments[0]) if is_command else _parser()
    options = parser.parse_args(arguments[1:] if is_command else arguments)
    if any("\udc80" <= each <= "\udcff" for each in "".join(arguments)):
        parser.error("the argument is not in UTF-8")
    invitation = None if is_command else _invitation(options, parser)
    try:
        settings = _settings(None if invitation is None else options.url)
    except (Misconfigured, dev_vars.DevVarsError) as exc:
        parser.error(str(exc))
    tokens = InvitationTokens([each.key for each in settings.invitation_keys])
    if invitation is None:
        return _run(arguments[0], options.link, tokens, parser)
    if not settings.public_url:
        parser.error(f"the link needs the URL of the Worker: set {_URL} where {_SECRET} is set, or give --url")
    # Standard output contains only the link.
    print(f"{settings.public_url}?{INVITATION_FIELD}={tokens.sign(invitation)}")
    uses = f"{invitation.uses} use{'' if invitation.uses == 1 else 's'}"
    print(f"for {printable(invitation.invited)}, {uses}, until {_format_expiry(invitation)}", file=sys.stderr)
    if invitation.verifies:
        print("It verifies the address: send it to this address by e-mail, and nowhere else.", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make invite",
        description="Print the link of a new invitation.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("address", nargs="?", help="the only e-mail address that may sign up with it")
    parser.add_argument("--domain", help="instead of an address: a domain like example.com, or *.example.com")
    parser.add_argument("--uses", type=int, help=f"with --domain: users who may sign up, 1 to {MOST_USES} (default: 1)")
    parser.add_argument("--expires", default=DEFAULT, metavar="TIME", help=f"5m to 365d (default: {DEFAULT})")
    parser.add_argument(
        "--verifies-address",
        action="store_true",
        help="the address counts as verified: only for a link that is sent to it by e-mail and nowhere else",
    )
    parser.add_argument("--url", help=f"the URL of the Worker (default: {_URL})")
    return parser


def _command_parser(command: str) -> argparse.ArgumentParser:
    about = {"uses": "Show how often an invitation was used.", "revoke": "Revoke an invitation."}
    parser = argparse.ArgumentParser(prog=f"make invite {command}", description=about[command])
    parser.add_argument("link", metavar="LINK", help="the link, or its token")
    return parser


def _settings(url: str | None) -> Settings:
    """Return settings with the keys of the invitations and the URL of the Worker.

    Without `url`, both come from the same source, so that a link never has the key of one deployment and the URL of
    another.

    Raises:
        Misconfigured: the keys are missing, or a setting is invalid.
        DevVarsError: `.dev.vars` cannot be read.
    """
    source: Mapping[str, str] = os.environ
    if not source.get(_SECRET):
        source = _dev_vars()
    if not source.get(_SECRET):
        raise Misconfigured(_SECRET, "is set neither in the environment nor in .dev.vars; see docs/users.md")
    bindings = {
        "DATABASE_URL": "hyperdrive:",
        _SECRET: source[_SECRET],
        _URL: source.get(_URL, "") if url is None else url,
    }
    return Settings.from_bindings(bindings.get)


def _dev_vars() -> dict[str, str]:
    try:
        return dev_vars.parse((ROOT / ".dev.vars").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError):
        # A UnicodeDecodeError contains the bytes of the file, and thus secrets.
        raise dev_vars.DevVarsError(".dev.vars cannot be read") from None


def _invitation(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Invitation:
    if (options.address is None) == (options.domain is None):
        parser.error("give either an address or --domain")
    if options.domain is None:
        if options.uses is not None:
            parser.error("--uses needs --domain, because an address can sign up only once")
        try:
            invited = canonical(options.address)
        except AddressError as exc:
            parser.error(f"this e-mail address cannot sign up ({exc.code})")
    else:
        if options.verifies_address:
            parser.error("--verifies-address needs an address")
        invited = _domain(options.domain, parser)
    uses = 1 if options.uses is None else options.uses
    if not 1 <= uses <= MOST_USES:
        parser.error(f"--uses must be from 1 to {MOST_USES}")
    match = _DURATION.fullmatch(options.expires)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not SHORTEST <= seconds <= LONGEST:
        parser.error("--expires must be a duration such as 30m, 12h or 7d, from 5m to 365d")
    return Invitation(
        secrets.token_urlsafe(ID_BYTES), invited, uses, int(time.time()) + seconds, options.verifies_address
    )


def _domain(text: str, parser: argparse.ArgumentParser) -> str:
    try:
        domains = parse_domains(text)
        (domain,) = [*domains.exact, *(f"*.{each}" for each in domains.parents)]
    except (DomainListError, ValueError):
        parser.error("--domain must be one domain like example.com, or *.example.com for its subdomains")
    return domain


def _run(command: str, link: str, tokens: InvitationTokens, parser: argparse.ArgumentParser) -> int:
    """Run `uses` or `revoke` and return the exit status."""
    try:
        invitation = tokens.read(_token(link))
    except BadInvitation as exc:
        parser.error(_CAUSES[exc.reason])
    try:
        with connected(parser, writes=command == "revoke") as db:
            try:
                if command == "revoke":
                    db.execute(_REVOKE, [invitation.id, REVOKED, invitation.expires_at])
                row = db.execute(_USES, [invitation.id]).fetchone()
            except psycopg.errors.UndefinedTable:
                return fail("invite", "the database has no table of invitations: run `make migrate`")
    except DatabaseError as exc:
        return fail("invite", str(exc))
    used = row[0] if row else 0
    state = "revoked" if used == REVOKED else f"used {used} of {invitation.uses}"
    validity = "expired" if time.time() >= invitation.expires_at else "until"
    print(f"{state}, for {printable(invitation.invited)}, {validity} {_format_expiry(invitation)}")
    return 0


def _token(link: str) -> str:
    """Return the token in a link, or the text itself if it is not a link."""
    try:
        query = parse_qs(urlsplit(link).query)
    except ValueError:
        return link
    return query.get(INVITATION_FIELD, [link])[0]


def _format_expiry(invitation: Invitation) -> str:
    return f"{datetime.fromtimestamp(invitation.expires_at, UTC):%Y-%m-%d %H:%M} UTC"


if __name__ == "__main__":
    sys.exit(main())
