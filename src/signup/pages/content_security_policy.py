"""The headers of the pages, including the Content Security Policy, and their only inline style."""

from base64 import b64encode
from hashlib import sha256
from urllib.parse import urlsplit

from signup.pages.contrast import readable_on
from signup.settings import Settings

TURNSTILE = "https://challenges.cloudflare.com"


def inline_style(settings: Settings) -> str:
    """Return the style that sets the accent colour of the pages; "" for the stylesheet's default."""
    colour = settings.page_colour
    return f":root{{--accent:{colour};--on-accent:{readable_on(colour)}}}" if colour else ""


def has_widget(settings: Settings) -> bool:
    """Return whether the form has Turnstile's widget."""
    return settings.turnstile is not None and bool(settings.turnstile.site_key)


def page_headers(policy: str, referrer_policy: str, language: str, vary: str) -> dict[str, str]:
    """Return the header fields of a page.

    Args:
        policy: the Content Security Policy.
        referrer_policy: the value of Referrer-Policy.
        language: the language tag of the page.
        vary: the request headers on which the page depends.
    """
    return {
        "content-security-policy": policy,
        "referrer-policy": referrer_policy,
        "cross-origin-opener-policy": "same-origin",
        "content-language": language,
        "vary": vary,
    }


def content_security_policy(settings: Settings) -> str:
    """Return the Content Security Policy of the pages."""
    style = inline_style(settings)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    style_source = f" 'sha256-{digest}'" if style else ""
    turnstile = f" {TURNSTILE}" if has_widget(settings) else ""
    # Chromium also applies form-action to the origin to which the posted form is redirected.
    next_url = urlsplit(settings.next_url)
    origin = f" {next_url.scheme}://{next_url.netloc}" if next_url.scheme else ""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self'{turnstile}",
            f"style-src 'self'{style_source}",
            "img-src 'self'",
            "connect-src 'self'",
            *([f"frame-src{turnstile}"] if turnstile else []),
            f"form-action 'self'{origin}",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )
