"""The page of a verification link, its results, and the form for a new link. They work without JavaScript."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from signup.i18n.catalog import Texts
from signup.pages.content_security_policy import content_security_policy, inline_style, page_headers
from signup.pages.templates import TEMPLATES
from signup.settings import Settings
from signup.verification.tokens import Claims


class VerifyPage:
    """The verification page of a deployment, in one language.

    Args:
        settings: the settings of the deployment.
        texts: the texts of the language.
    """

    def __init__(self, settings: Settings, texts: Texts) -> None:
        self._language = texts.language
        self._policy = content_security_policy(settings)
        self._context = {
            "settings": settings,
            "style": inline_style(settings),
            "language": texts.language,
            "labels": texts.labels,
            "text": texts.page,
        }

    def headers(self, vary: str) -> dict[str, str]:
        """Return the header fields of the page.

        Args:
            vary: the request headers on which the page depends.
        """
        # The token in the URL must not be sent to another page. As a result, the form's Origin is "null".
        return page_headers(self._policy, "no-referrer", self._language, vary)

    def ask(
        self, token: str, claims: Claims, problem: Mapping[str, Any] | None = None, retry_after: str | None = None
    ) -> bytes:
        """Return the page with the buttons that verify the address and remove the account.

        Args:
            token: the token that the buttons post.
            claims: the claims of the token.
            problem: the problem details of the previous attempt, in the page's language.
            retry_after: seconds after which the client may try again.
        """
        signed_up_at = datetime.fromtimestamp(claims.signed_up_at, UTC).strftime("%Y-%m-%dT%H:%MZ")
        return self._render(
            view="ask", token=token, claims=claims, signed_up_at=signed_up_at, problem=problem, retry_after=retry_after
        )

    def resend(
        self, email: str = "", problem: Mapping[str, Any] | None = None, retry_after: str | None = None
    ) -> bytes:
        """Return the page with the form for a new link.

        Args:
            email: the value of the form's field.
            problem: the problem details of the previous request, in the page's language.
            retry_after: seconds after which the client may try again.
        """
        errors = [each["detail"] for each in (problem or {}).get("errors", ()) if each["pointer"] == "/email"]
        error = errors[0] if errors else ""
        return self._render(view="resend", email=email, error=error, problem=problem, retry_after=retry_after)

    def result(self, result: str) -> bytes:
        """Return the page that shows the result of a button or form.

        Args:
            result: the outcome, a `result` of the API or "resent".
        """
        return self._render(view=result, problem=None)

    def _render(self, **context: object) -> bytes:
        return TEMPLATES.get_template("verify_page.html").render(self._context, **context).encode()
