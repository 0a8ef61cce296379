"""Choose the mail provider for a MAIL_URL."""

import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote

from pydantic import SecretStr

from signup import urls
from signup.http_client import Http
from signup.outbox.binding import EmailBinding
from signup.outbox.mail.cloudflare import EMAIL, CloudflareMailer
from signup.outbox.mail.log import LogMailer
from signup.outbox.mail.mailer import Mailer, Sender
from signup.outbox.mail.postmark import PostmarkMailer
from signup.outbox.mail.resend import ResendMailer
from signup.problems import Misconfigured


class Form(NamedTuple):
    """A form of MAIL_URL.

    Args:
        example: an example of the URL.
        description: the provider, in Markdown, for docs/settings.md.
        scheme: the URL scheme of this form.
        is_http: whether the provider is an HTTP API. The URL then has a key and a host.
    """

    example: str
    description: str
    scheme: str
    is_http: bool


FORMS = (
    Form("cloudflare:", "Cloudflare Email Service, through the binding `EMAIL` in wrangler.toml", "cloudflare", False),
    Form("resend://KEY@api.resend.com", "Resend", "resend", True),
    Form(
        "postmark://TOKEN@api.postmarkapp.com/STREAM",
        "Postmark, with a server token; the message stream is `outbound` if the URL has none",
        "postmark",
        True,
    ),
    Form("log:", "for development: e-mails are written to the log, with their links", "log", False),
)
# The name of a message stream, or "".
_STREAM = re.compile(r"[a-z0-9-]{0,50}")


class Provider(NamedTuple):
    """The parts of a MAIL_URL.

    Args:
        scheme: the scheme, which selects the provider.
        origin: the origin of the API; "" if the provider is not reached over HTTP.
        key: the API key.
        path: the path without slashes at its ends.
    """

    scheme: str
    origin: str = ""
    key: SecretStr = SecretStr("")
    path: str = ""


def find_provider(mail_url: SecretStr) -> Provider:
    """Check a MAIL_URL and return its parts.

    An API is reached over https, or over http when the scheme ends with `+http` and the host is loopback.

    Raises:
        Misconfigured: the URL is malformed or has an unknown form. The message does not quote the URL.
    """
    text = mail_url.get_secret_value()
    scheme, separator, after_scheme = text.partition(":")
    name = scheme.removesuffix("+http")
    form = next((each for each in FORMS if each.scheme == name), None)
    if form is None or not separator or (not form.is_http and (after_scheme or scheme != name)):
        examples = ", ".join(each.example for each in FORMS)
        raise Misconfigured("MAIL_URL", f"has an unknown form; known forms are {examples}")
    if not form.is_http:
        return Provider(name)
    url = urls.parse("MAIL_URL", text)
    path = url.path.strip("/")
    if not url.username or url.password or url.query or url.fragment or not _STREAM.fullmatch(path):
        raise Misconfigured("MAIL_URL", f"must look like {form.example}")
    host = str(url.hostname)
    if scheme != name and not urls.is_loopback(host):
        raise Misconfigured("MAIL_URL", "must not end its scheme with +http unless the host is loopback")
    protocol = "https" if scheme == name else "http"
    return Provider(name, f"{protocol}://{url.netloc.rpartition('@')[2]}", SecretStr(unquote(url.username)), path)


def choose(
    mail_url: SecretStr,
    mail_from: str,
    http: Http,
    binding: Callable[[str], EmailBinding | None],
    log: Callable[[str], None],
) -> Mailer:
    """Return the mailer of a MAIL_URL.

    Args:
        mail_url: the setting.
        mail_from: the setting with the sender.
        http: sends the requests to HTTP APIs.
        binding: returns the named `send_email` binding, or None if it is not bound.
        log: writes the e-mails of `log:`.

    Raises:
        Misconfigured: see `find_provider`.
    """
    provider, sender = find_provider(mail_url), Sender.parse(mail_from)
    if provider.scheme == "cloudflare":
        return CloudflareMailer(binding(EMAIL), sender)
    if provider.scheme == "resend":
        return ResendMailer(http, provider.origin, provider.key.get_secret_value(), sender)
    if provider.scheme == "postmark":
        return PostmarkMailer(http, provider.origin, provider.key.get_secret_value(), provider.path, sender)
    return LogMailer(log)
