"""The sign-up page: HTML that works without JavaScript, and is better with public/signup.js."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

from signup.fields.models import BOT_CHECK_FIELD
from signup.hashing.password_hasher import LONGEST_PASSWORD
from signup.i18n.english import Texts
from signup.pages.layout import Frame
from signup.settings import Settings
from signup.web.form_body import KEY_FIELD

MEDIA_TYPE = "text/html; charset=utf-8"
# Of a field: its type, and what a browser may fill in (https://html.spec.whatwg.org/#autofill-field).
FIELDS = {"name": ("text", "name"), "email": ("email", "email"), "password": ("password", "new-password")}
# Seconds that the script waits beyond the deadline of the answer.
PATIENCE = 5


@dataclass(frozen=True, slots=True)
class Mistakes:
    """What was wrong with a sign-up, in the page's language.

    Args:
        title: what it is.
        detail: sentences about it.
        fields: for each wrong field its text, which reads on after the field's label unless it is a sentence.
        sentences: of `fields`, those whose text is a sentence.
    """

    title: str
    detail: list[str] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)
    sentences: frozenset[str] = frozenset()


class Page:
    """The page of a deployment, in one language.

    Args:
        settings: the deployment's.
        texts: the language's.
    """

    def __init__(self, settings: Settings, texts: Texts) -> None:
        self._settings = settings
        self._texts = texts
        self._frame = Frame(settings, texts)
        self.headers = self._frame.headers

    def form(self, key: str, values: Mapping[str, str], mistakes: Mistakes | None = None) -> bytes:
        """Return the page with the form.

        Args:
            key: the idempotency key that it posts.
            values: what its fields hold; a password is left out.
            mistakes: what was wrong with what was posted before.
        """
        texts = self._texts
        title = f"{texts.error}: {texts.title}" if mistakes else texts.title
        done, created = self._done()
        fields = "".join(self._field(name, values.get(name, ""), mistakes) for name in FIELDS)
        return self._frame.document(
            title,
            f'<div id="entry">\n<h1>{escape(texts.title)}</h1>\n{self._summary(mistakes)}'
            f'<form id="sign-up" action="/" method="post" novalidate{self._data()}>\n'
            f'<input type="hidden" name="{KEY_FIELD}" value="{escape(key)}" autocomplete="off">\n'
            f"{fields}{self._challenge(mistakes)}"
            f'<button id="submit" type="submit">{escape(texts.submit)}</button>\n'
            '<p id="status" role="status"></p>\n</form>\n</div>\n'
            f'<div id="done" tabindex="-1" hidden>\n<h1>{escape(done)}</h1>\n<p>{escape(created)}</p>\n</div>\n',
            script=True,
        )

    def done(self) -> bytes:
        """Return the page that says that it is done."""
        done, created = self._done()
        return self._frame.document(
            done,
            f'<div id="done" tabindex="-1" autofocus>\n<h1>{escape(done)}</h1>\n<p>{escape(created)}</p>\n</div>\n',
            script=False,
        )

    def mistakes(self, problem: Mapping[str, object], retry_after: int | None) -> Mistakes:
        """Return what problem details, in the page's language, say to people.

        Args:
            problem: the problem details.
            retry_after: seconds.
        """
        texts = self._texts
        errors = problem.get("errors")
        if isinstance(errors, list):
            pairs = [(str(each["pointer"])[1:], str(each["detail"])) for each in errors]
            return Mistakes(
                texts.check, [], [(name.replace("~1", "/").replace("~0", "~"), text) for name, text in pairs]
            )
        title, sentence = str(problem["title"]), str(problem["detail"])
        if problem["code"] == "email_taken":
            return Mistakes(title, [], [("email", sentence)], frozenset({"email"}))
        detail = [sentence]
        if retry_after is not None:
            detail.append(texts.retry_one if retry_after == 1 else texts.retry.replace("{n}", str(retry_after)))
        if problem["code"] == "proxy_timeout":
            detail.append(texts.again)
        if problem["status"] == 500:  # noqa: PLR2004 - a mistake of ours, for whose causes the log is to be searched
            detail.append(texts.reference.replace("{id}", str(problem["instance"])))
        return Mistakes(title, detail)

    def _done(self) -> tuple[str, str]:
        texts = self._texts
        return (texts.accepted, texts.perhaps) if self._settings.conceal else (texts.done, texts.created)

    def _data(self) -> str:
        """Return what the script needs to know, as attributes of the form."""
        texts, settings = self._texts, self._settings
        known = {
            "least": str(settings.password_min_length),
            "most": str(LONGEST_PASSWORD),
            "patience": str(settings.request_deadline + PATIENCE),
            "next": settings.next_url,
            **{name: getattr(texts, name.replace("-", "_")) for name in _SCRIPT_TEXTS},
        }
        return "".join(f'\ndata-{name}="{escape(value)}"' for name, value in known.items())

    def _summary(self, mistakes: Mistakes | None) -> str:
        if mistakes is None:
            return '<div id="summary" role="alert" tabindex="-1" hidden></div>\n'
        sentences = "".join(f"<p>{escape(each)}</p>\n" for each in mistakes.detail)
        links = "".join(
            f'<li><a href="#{name}">{text}</a></li>\n' if name in FIELDS else f"<li>{text}</li>\n"
            for name, text in ((name, self._sentence(name, mistakes)) for name, _ in mistakes.fields)
        )
        links = f"<ul>\n{links}</ul>\n" if links else ""
        return (
            f'<div id="summary" role="alert" tabindex="-1" autofocus>\n<h2>{escape(mistakes.title)}</h2>\n'
            f"{sentences}{links}</div>\n"
        )

    def _sentence(self, name: str, mistakes: Mistakes) -> str:
        text = dict(mistakes.fields)[name]
        label = "" if name in mistakes.sentences else f"{self._texts.labels.get(name, name)} "
        return escape(label + text)

    def _slot(self, name: str, mistakes: Mistakes | None, more: str = "") -> str:
        """Return where a field's problem stands; it is there without one, so that nothing moves when one comes."""
        wrong = mistakes is not None and name in dict(mistakes.fields)
        text = self._sentence(name, mistakes) if wrong and mistakes else ""
        # A field's label is elsewhere.
        label = "" if name in FIELDS else f' data-label="{escape(self._texts.labels[name])}"'
        hidden = "" if wrong else " hidden"
        return f'<div class="slot"><p id="{name}-error"{label}{hidden}>{text}</p>{more}</div>\n</div>\n'

    def _field(self, name: str, value: str, mistakes: Mistakes | None) -> str:
        texts = self._texts
        kind, autofill = FIELDS[name]
        wrong = mistakes is not None and name in dict(mistakes.fields)
        label = f'<label for="{name}">{escape(texts.labels[name])}</label>\n'
        described, attributes, more = [], "", ""
        if name == "password":
            least = self._settings.password_min_length
            show = f'<button id="show-password" type="button" aria-pressed="false" hidden>{escape(texts.show)}</button>'
            hint = escape(texts.hint.replace("{least}", str(least)))
            label = f'<div class="row">{label}{show}</div>\n<p id="password-hint">{hint}</p>\n'
            described.append("password-hint")
            attributes = f' minlength="{least}"'
            more = '<p id="password-missing" aria-live="polite"></p>'
        else:
            attributes = f' value="{escape(value)}"' if value else ""
        if name != "name":
            attributes += ' autocapitalize="none" spellcheck="false"'
        if wrong:
            described.append(f"{name}-error")
            attributes += ' aria-invalid="true"'
        if described:
            attributes += f' aria-describedby="{" ".join(described)}"'
        return (
            f'<div class="field">\n{label}<input id="{name}" name="{name}" type="{kind}" autocomplete="{autofill}" '
            f"required{attributes}>\n{self._slot(name, mistakes, more)}"
        )

    def _challenge(self, mistakes: Mistakes | None) -> str:
        turnstile = self._settings.turnstile
        if turnstile is None or not turnstile.site_key:
            return ""
        return (
            f'<div class="field">\n<div class="cf-turnstile" data-sitekey="{escape(turnstile.site_key)}" '
            f'data-action="{escape(turnstile.action)}" data-language="{self._texts.language}" data-size="flexible">'
            f"</div>\n<noscript><p>{escape(self._texts.no_script)}</p></noscript>\n"
            f"{self._slot(BOT_CHECK_FIELD, mistakes)}"
        )


_SCRIPT_TEXTS = (
    *("check", "again", "retry", "retry-one", "sending", "missing", "missing-one", "enough", "surplus", "surplus-one"),
    *("unheard", "unheard-why", "error", "title"),
)
