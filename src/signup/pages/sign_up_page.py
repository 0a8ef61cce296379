"""The sign-up page: HTML that works without JavaScript. public/signup.js enhances it."""

from collections.abc import Mapping
from typing import Any

from signup.fields.models import BOT_CHECK_FIELD, INPUTS, SignUpRequest
from signup.hashing.password_hasher import LONGEST_PASSWORD
from signup.i18n.catalog import Texts
from signup.pages.content_security_policy import (
    TURNSTILE,
    content_security_policy,
    has_widget,
    inline_style,
    page_headers,
)
from signup.pages.templates import TEMPLATES
from signup.problems import SignUpsClosed
from signup.settings import Settings
from signup.web.form_body import KEY_FIELD

# Seconds that the script waits beyond REQUEST_DEADLINE for the response.
PATIENCE = 5


class Page:
    """The sign-up page of a deployment, in one language.

    Args:
        settings: the settings of the deployment.
        texts: the texts of the language.
    """

    def __init__(self, settings: Settings, texts: Texts) -> None:
        self._language = texts.language
        self._policy = content_security_policy(settings)
        self._context = {
            "settings": settings,
            # The text that replaces the form.
            "closed": _closed(texts) if settings.closed else None,
            "style": inline_style(settings),
            "turnstile": TURNSTILE if has_widget(settings) else "",
            "inputs": INPUTS,
            "required": {name for name, field in SignUpRequest.model_fields.items() if field.is_required()},
            "key_field": KEY_FIELD,
            "bot_check_field": BOT_CHECK_FIELD,
            "longest_password": LONGEST_PASSWORD,
            "patience": settings.request_deadline + PATIENCE,
            "language": texts.language,
            "labels": texts.labels,
            "text": texts.page,
        }

    def headers(self, vary: str) -> dict[str, str]:
        """Return the header fields of the page.

        Args:
            vary: the header fields of the request that it depends on.
        """
        # With no-referrer, browsers would send `Origin: null` with the form.
        return page_headers(self._policy, "same-origin", self._language, vary)

    def form(
        self,
        key: str,
        values: Mapping[str, str],
        problem: Mapping[str, Any] | None = None,
        retry_after: str | None = None,
    ) -> bytes:
        """Return the page with the form; or, while sign-ups are closed, with a notice.

        Args:
            key: the idempotency key of the form.
            values: the values of the fields, without the password.
            problem: the problem details of the previously posted form, in the page's language.
            retry_after: seconds after which the client may try again.
        """
        errors = {} if problem is None else _errors(problem)
        return self._render(done=False, key=key, values=values, problem=problem, retry_after=retry_after, errors=errors)

    def done(self) -> bytes:
        """Return the page that follows a sign-up."""
        return self._render(done=True, problem=None)

    def _render(self, **context: object) -> bytes:
        return TEMPLATES.get_template("sign_up_page.html").render(self._context, **context).encode()


def _closed(texts: Texts) -> dict[str, str]:
    """Return title and detail of `SignUpsClosed`."""
    return {"title": texts.titles[SignUpsClosed.code], "detail": texts.details[SignUpsClosed.code]}


def _errors(problem: Mapping[str, Any]) -> dict[str, str]:
    """Return the error text of each field."""
    if problem["code"] == "email_taken":
        return {"email": problem["detail"]}
    errors = [(each["pointer"][1:], each["detail"]) for each in problem.get("errors", ())]
    return {name.replace("~1", "/").replace("~0", "~"): text for name, text in errors}
