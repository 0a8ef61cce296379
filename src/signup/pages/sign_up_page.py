"""The sign-up page: HTML that works without JavaScript, except for the bot check. public/signup.js enhances it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from signup.fields.models import BOT_CHECK_FIELD, EXTRA_FIELD, INPUTS, INVITATION_FIELD, TERMS_FIELD, SignUpRequest
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
from signup.problems import InvitationRequired, Problem, SignUpsClosed
from signup.settings import Settings
from signup.web.form_body import KEY_FIELD

if TYPE_CHECKING:
    from signup.invitations.tokens import Invitation

# Seconds that the script waits beyond REQUEST_DEADLINE for the response.
PATIENCE = 5


class Page:
    """The sign-up page of a deployment, in one language.

    Args:
        settings: the settings of the deployment.
        texts: the texts of the language.
    """

    def __init__(self, settings: Settings, texts: Texts) -> None:
        self._settings = settings
        self._texts = texts
        self._language = texts.language
        self._policy = content_security_policy(settings)
        self._context = {
            "settings": settings,
            "style": inline_style(settings),
            "turnstile": TURNSTILE if has_widget(settings) else "",
            "inputs": INPUTS,
            "required": {name for name, field in SignUpRequest.model_fields.items() if field.is_required()},
            "key_field": KEY_FIELD,
            "bot_check_field": BOT_CHECK_FIELD,
            "invitation_field": INVITATION_FIELD,
            "longest_password": LONGEST_PASSWORD,
            "patience": settings.request_deadline + PATIENCE,
            "language": texts.language,
            "labels": texts.labels,
            "extra_inputs": _extra_inputs(settings, texts.language),
            "terms_field": TERMS_FIELD,
            "text": texts.page,
        }

    def headers(self, vary: str) -> dict[str, str]:
        """Return the header fields of the page.

        Args:
            vary: the request headers on which the page depends.
        """
        # With no-referrer, browsers would send `Origin: null` with the form.
        return page_headers(self._policy, "same-origin", self._language, vary)

    def form(
        self,
        key: str,
        values: Mapping[str, str],
        problem: Mapping[str, Any] | None = None,
        retry_after: str | None = None,
        invitation: "Invitation | None" = None,
    ) -> bytes:
        """Return the page with the form, or with a notice if sign-ups are closed or the required invitation is missing.

        Args:
            key: the idempotency key of the form.
            values: the values of the fields. A password among them is not shown.
            problem: the problem details of the posted form or of the invitation link, in the page's language.
            retry_after: seconds after which the client may try again.
            invitation: the valid invitation of the form, if there is one.
        """
        notice: Mapping[str, Any] | None = None
        if self._settings.closed:
            notice = self._notice(SignUpsClosed)
        elif self._settings.invites and invitation is None:
            notice = problem or self._notice(InvitationRequired)
        return self._render(
            done=False,
            key=key,
            values=values,
            problem=problem,
            retry_after=retry_after,
            errors={} if problem is None else _errors(problem),
            invitation=invitation,
            notice=notice,
        )

    def done(self, invitation: "Invitation | None" = None) -> bytes:
        """Return the page that follows a sign-up.

        Args:
            invitation: the invitation of the sign-up, if there was one.
        """
        return self._render(done=True, problem=None, notice=None, invitation=invitation)

    def _notice(self, problem: type[Problem]) -> dict[str, str]:
        """Return the title and detail that replace the form."""
        return {"title": self._texts.titles[problem.code], "detail": self._texts.details[problem.code]}

    def _render(self, **context: object) -> bytes:
        return TEMPLATES.get_template("sign_up_page.html").render(self._context, **context).encode()


def _extra_inputs(settings: Settings, language: str) -> dict[str, dict[str, Any]]:
    """Return the inputs of `EXTRA_FIELDS` by id. `_errors` uses the same ids."""
    extra_fields = settings.parsed_extra_fields
    if extra_fields is None:
        return {}
    return {
        f"{EXTRA_FIELD}/{field.name}": {
            "name": f"{EXTRA_FIELD}.{field.name}",
            "field": field,
            "label": field.label(language),
            "choices": field.choices(language),
            "required": field.required and (field.type != "boolean" or field.must_be_true),
        }
        for field in extra_fields.fields
    }


def _errors(problem: Mapping[str, Any]) -> dict[str, str]:
    """Return the error text of each field, by the id of its input."""
    if problem["code"] == "email_taken":
        return {"email": problem["detail"]}
    errors = [(each["pointer"][1:], each["detail"]) for each in problem.get("errors", ())]
    return {name.replace("~1", "/").replace("~0", "~"): text for name, text in errors}
