"""What every page has around it: the document, what it loads, and its policy."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from urllib.parse import urlsplit

from signup.i18n.english import Texts
from signup.pages.contrast import readable_on
from signup.settings import Settings

TURNSTILE = "https://challenges.cloudflare.com"


class Frame:
    """The frame of a deployment's pages, in one language.

    Args:
        settings: the deployment's.
        texts: the language's.
    """

    def __init__(self, settings: Settings, texts: Texts) -> None:
        self._name = escape(settings.service_name)
        self._language = texts.language
        self._next = urlsplit(settings.next_url)
        self._widget = settings.turnstile is not None and bool(settings.turnstile.site_key)
        colour = settings.page_colour
        self._style = f":root{{--accent:{colour};--on-accent:{readable_on(colour)}}}" if colour else ""

    def headers(self, vary: str) -> dict[str, str]:
        """Return the header fields of the page.

        Args:
            vary: the header fields of the request that it depends on.
        """
        return {
            "content-security-policy": self._policy(),
            # With no-referrer, browsers would send `Origin: null` with the form.
            "referrer-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "content-language": self._language,
            "vary": vary,
        }

    def document(self, title: str, main: str, *, script: bool) -> bytes:
        """Return a page.

        Args:
            title: in text.
            main: what is in it, in HTML.
            script: whether it has the form, and what that needs.
        """
        loaded = '<script type="module" src="/signup.js"></script>\n' if script else ""
        if script and self._widget:
            loaded += f'<script src="{TURNSTILE}/turnstile/v0/api.js" async defer></script>\n'
        style = f"<style>{self._style}</style>\n" if self._style else ""
        return (
            f'<!doctype html>\n<html lang="{self._language}">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{escape(title)} \u2013 {self._name}</title>\n"
            '<link rel="icon" href="/signup.svg" type="image/svg+xml">\n'
            f'<link rel="stylesheet" href="/signup.css">\n{style}{loaded}</head>\n<body>\n<main>\n'
            f'<p id="service">{self._name}</p>\n{main}</main>\n</body>\n</html>\n'
        ).encode()

    def _policy(self) -> str:
        digest = b64encode(sha256(self._style.encode()).digest()).decode()
        style = f" 'sha256-{digest}'" if self._style else ""
        turnstile = f" {TURNSTILE}" if self._widget else ""
        # Chromium wants the origin to which a posted form leads in the end.
        origin = f" {self._next.scheme}://{self._next.netloc}" if self._next.scheme else ""
        return "; ".join(
            (
                "default-src 'none'",
                f"script-src 'self'{turnstile}",
                f"style-src 'self'{style}",
                "img-src 'self'",
                "connect-src 'self'",
                *([f"frame-src{turnstile}"] if turnstile else []),
                f"form-action 'self'{origin}",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            )
        )
