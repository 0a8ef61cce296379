"""The HTML of the sign-up page and its Content Security Policy."""

import re
from base64 import b64encode
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from signup.fields.models import INPUTS
from signup.i18n.catalog import LANGUAGES, Texts, texts
from signup.invitations.tokens import Invitation
from signup.openapi.responses import REQUEST_ID, SAMPLES
from signup.pages.sign_up_page import Page
from signup.problems import FieldError, Problem, ValidationFailed
from signup.web.problem_details import problem_result
from tests.fakes import EXTRA_FIELDS, INVITING, SETTINGS, WITH_FIELDS, change

PUBLIC = Path(__file__).parents[3] / "public"
CUSTOMISED = change(
    SETTINGS,
    service_name="Tea & Cake",
    page_colour="#ffcc00",
    next_url="https://a.example/b",
    turnstile_secret="canary",
    turnstile_hostnames="www.example.com",
    turnstile_action="join",
    turnstile_site_key="1x00AA",
)
ENGLISH = texts("en")
VOID = {"meta", "link", "input"}
# The limit of the whole page, in bytes.
LARGEST = 30 * 1024


class Tree(HTMLParser):
    """The elements of a page, in which each element must be closed."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(html.decode())
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element, and check that it has no attribute twice."""
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that the innermost open element is closed."""
        assert self.open.pop() == tag

    def by_id(self, name: str) -> dict[str, str]:
        """Return the attributes of the element with this ID, which must be unique."""
        (attributes,) = [attributes for _, attributes in self.elements if attributes.get("id") == name]
        return attributes


def details(problem: Problem, language: Texts = ENGLISH) -> dict[str, Any]:
    """Return the problem details of an error."""
    content = problem_result(problem, REQUEST_ID, language).content
    assert isinstance(content, dict)
    return content


WRONG = ValidationFailed(
    [FieldError(name, "required") for name in (*INPUTS, "cf-turnstile-response")]
    + [FieldError("<role>", "unknown_field")]
)


EXTRA = [*EXTRA_FIELDS["properties"]]
WRONG_FIELDS = ValidationFailed(
    [*WRONG.errors, *(FieldError(name, "required", parent="extra") for name in EXTRA), FieldError("terms", "required")]
)


def pages(settings: object = SETTINGS, language: Texts = ENGLISH) -> dict[str, bytes]:
    """Return the pages, by kind."""
    assert isinstance(settings, type(SETTINGS))
    page = Page(settings, language)
    problem = WRONG_FIELDS if settings.extra_fields else WRONG
    wrong = page.form("k", {"name": "Ada"}, details(problem, language))
    by_kind = {"form": page.form("k", {}), "wrong": wrong, "done": page.done()}
    for invited in ("ada@example.com", "*.example.com"):
        invitation = Invitation("id", invited, 1, 0)
        by_kind[invited] = page.form("k", {"invitation": "t"}, details(WRONG, language), invitation=invitation)
    return by_kind


CONCEALING = change(CUSTOMISED, duplicate_response="conceal")
DEPLOYMENTS = (SETTINGS, CUSTOMISED, CONCEALING, INVITING, WITH_FIELDS)
EACH = [(settings, texts(language)) for settings in DEPLOYMENTS for language in LANGUAGES]


@pytest.mark.parametrize(("settings", "language"), EACH)
def test_pages_are_well_formed(settings: object, language: Texts) -> None:
    """Elements are closed, ids are unique, and labels, links and descriptions refer to existing ids."""
    for html in pages(settings, language).values():
        tree = Tree(html)
        ids = [attributes["id"] for _, attributes in tree.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        references = [attributes["for"] for tag, attributes in tree.elements if tag == "label"]
        links = [attributes["href"] for tag, attributes in tree.elements if tag == "a"]
        references += [link[1:] for link in links if link != WITH_FIELDS.terms_url]
        references += [
            each for _, attributes in tree.elements for each in attributes.get("aria-describedby", "").split()
        ]
        assert set(references) <= set(ids)
        assert ("html", {"lang": language.language}) in tree.elements
        assert html.startswith(b"<!doctype html>\n")
        assert html.endswith(b"</html>\n")


@pytest.mark.parametrize(("settings", "language"), EACH)
def test_only_signup_js_and_turnstile_run(settings: object, language: Texts) -> None:
    """There are no inline scripts, style attributes or event handlers."""
    for html in pages(settings, language).values():
        for tag, attributes in Tree(html).elements:
            assert tag != "script" or re.fullmatch(
                r"/signup\.js|https://challenges\.cloudflare\.com/.*", attributes["src"]
            )
            assert not [name for name in attributes if name == "style" or name.startswith("on")]


@pytest.mark.parametrize(("settings", "language"), EACH)
def test_the_whole_page_is_small(settings: object, language: Texts) -> None:
    """The limit applies to the total uncompressed size of HTML, style sheet, script and icon."""
    files = sum((PUBLIC / f"signup.{kind}").stat().st_size for kind in ("css", "js", "svg"))
    assert max(len(html) for html in pages(settings, language).values()) + files < LARGEST


def test_browsers_and_password_managers_recognise_the_fields() -> None:
    """Types and autocomplete values are standard, and the browser's own validation is off."""
    tree = Tree(pages()["form"])
    fields = {attributes["name"]: attributes for tag, attributes in tree.elements if tag == "input"}
    assert [*fields] == ["idempotency-key", "name", "email", "password"]
    assert {name: (attributes["type"], attributes["autocomplete"]) for name, attributes in fields.items()} == {
        "idempotency-key": ("hidden", "off"),
        "name": ("text", "name"),
        "email": ("email", "email"),
        "password": ("password", "new-password"),
    }
    assert "novalidate" in tree.by_id("sign-up")
    assert (tree.by_id("sign-up")["method"], tree.by_id("sign-up")["action"]) == ("post", "/")
    assert not [name for attributes in fields.values() for name in attributes if name in ("maxlength", "pattern")]
    # The script shows this button.
    assert "hidden" in tree.by_id("show-password")


def test_the_hint_states_the_minimum_length() -> None:
    """The attribute for the script has the same number."""
    html = pages(change(SETTINGS, password_min_length=9))["form"]
    assert b"Use at least 9 characters." in html
    assert Tree(html).by_id("sign-up")["data-least"] == "9"


def test_errors_are_shown_at_their_fields() -> None:
    """Each invalid field is marked as such, described by its hint and error, and linked from the summary."""
    tree = Tree(pages(CUSTOMISED)["wrong"])
    assert tree.by_id("password")["aria-describedby"] == "password-hint password-error"
    assert all(tree.by_id(name)["aria-invalid"] == "true" for name in INPUTS)
    assert [attributes["href"] for tag, attributes in tree.elements if tag == "a"] == [f"#{name}" for name in INPUTS]
    assert "hidden" not in tree.by_id("cf-turnstile-response-error")
    tree = Tree(pages(CUSTOMISED)["form"])
    assert not any("aria-invalid" in attributes for _, attributes in tree.elements)
    assert all("hidden" in tree.by_id(f"{name}-error") for name in (*INPUTS, "cf-turnstile-response"))
    assert "hidden" in tree.by_id("summary")


def test_the_form_keeps_all_values_except_the_password() -> None:
    """Values are escaped. A field that is not on the page is dropped."""
    values = {"name": "\"><script>'&amp;", "email": "<a@b>", "password": "canary", "role": "canary"}
    html = Page(SETTINGS, ENGLISH).form("<key>", values)
    tree = Tree(html)
    assert [tree.by_id(name)["value"] for name in ("name", "email")] == [values["name"], values["email"]]
    assert "value" not in tree.by_id("password")
    assert b"canary" not in html
    assert ("input", {"type": "hidden", "name": "idempotency-key", "value": "<key>", "autocomplete": "off"}) in (
        tree.elements
    )


def policy(page: Page) -> dict[str, str]:
    """Return the directives of a page's policy."""
    text = page.headers("accept")["content-security-policy"]
    return {name: value for name, _, value in (each.partition(" ") for each in text.split("; "))}


def test_the_policy_allows_only_what_the_page_needs() -> None:
    """The policy allows the page's own files, its one inline style by hash, the widget, and the form's target."""
    self_only = dict.fromkeys(("script-src", "style-src", "img-src", "connect-src", "form-action"), "'self'")
    nothing = dict.fromkeys(("default-src", "base-uri", "frame-ancestors"), "'none'")
    assert policy(Page(SETTINGS, ENGLISH)) == self_only | nothing
    page = Page(CUSTOMISED, ENGLISH)
    (style,) = re.findall(rb"<style>(.*)</style>", page.form("k", {}))
    digest = b64encode(sha256(style).digest()).decode()
    assert policy(page) == nothing | self_only | {
        "script-src": "'self' https://challenges.cloudflare.com",
        "frame-src": "https://challenges.cloudflare.com",
        "style-src": f"'self' 'sha256-{digest}'",
        "form-action": "'self' https://a.example",
    }
    # Without a site key there is no widget.
    assert "frame-src" not in policy(Page(change(CUSTOMISED, turnstile_site_key=""), ENGLISH))


def test_the_widget_has_key_action_and_language() -> None:
    """Without a site key there is no widget."""
    for language in LANGUAGES:
        elements = Tree(pages(CUSTOMISED, texts(language))["form"]).elements
        (widget,) = [attributes for _, attributes in elements if attributes.get("class") == "cf-turnstile"]
        attributes = (widget["data-sitekey"], widget["data-action"], widget["data-language"])
        assert attributes == ("1x00AA", "join", language)
    keyless = change(CUSTOMISED, turnstile_site_key="")
    for settings in (SETTINGS, keyless):
        assert b"turnstile" not in pages(settings)["form"]


def summary(problem: Problem, retry_after: str | None = None) -> str:
    """Return the page's summary of a problem."""
    html = Page(SETTINGS, ENGLISH).form("k", {}, details(problem), retry_after).decode()
    (content,) = re.findall(r'<div id="summary"[^>]*>(.*?)</div>', html, re.DOTALL)
    return unescape(content)


@pytest.mark.parametrize("code", sorted(SAMPLES))
def test_every_problem_is_shown(code: str) -> None:
    """The summary lists field errors and a taken address as links, and describes other problems."""
    title, detail = ENGLISH.titles[code], ENGLISH.details[code]
    html = summary(SAMPLES[code])
    assert ("<li>" in html) == (code in ("validation_failed", "email_taken"))
    assert (f"<h2>{title}</h2>" in html) == (code != "validation_failed")
    assert (detail in html) == (code != "validation_failed")
    assert (REQUEST_ID in html) == (SAMPLES[code].status == 500)
    assert (ENGLISH.page.safe_to_retry in html) == (code == "proxy_timeout")


def test_the_summary_names_fields_that_are_not_on_the_page() -> None:
    """Errors of the page's fields are links; an unknown field has the name that was sent."""
    html = summary(WRONG)
    assert re.findall(r"<li>(.*)</li>", html) == [
        '<a href="#name">Enter your name.</a>',
        '<a href="#email">Enter your e-mail address.</a>',
        '<a href="#password">Enter a password.</a>',
        "Please complete the bot check.",
        "<role>: This field is not supported.",
    ]
    assert b"&lt;role&gt;: This" in pages()["wrong"]


def test_the_summary_states_the_time_to_wait() -> None:
    """The time is the value of Retry-After."""
    assert "Please wait 60 s, then try again." in summary(SAMPLES["too_busy"], "60")
    assert "Please wait" not in summary(SAMPLES["too_busy"])


def test_the_form_has_exactly_the_texts_that_the_script_reads() -> None:
    """signup.js reads the texts from the form's `data-` attributes."""
    read = re.findall(r"\btexts\.(\w+)", (PUBLIC / "signup.js").read_text())
    names = {"data-" + re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", name) for name in read}
    attributes = Tree(pages()["form"]).by_id("sign-up")
    assert names == {name for name in attributes if name.startswith("data-")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_while_sign_ups_are_closed_the_page_has_no_form(language: str) -> None:
    """The title and the heading state the reason, also in the response to a posted form."""
    catalog = texts(language)
    page = Page(change(CUSTOMISED, sign_up="closed"), catalog)
    title, detail = catalog.titles["sign_ups_closed"], catalog.details["sign_ups_closed"]
    for html in (page.form("key", {}), page.form("key", {}, details(SAMPLES["sign_ups_closed"], catalog))):
        elements = Tree(html).elements
        assert not {"form", "input", "script", "button"} & {tag for tag, _ in elements}
        unescaped = unescape(html.decode())
        assert f"<title>{title} \u2013 Tea & Cake</title>" in unescaped
        assert "\u2013 Tea &amp; Cake</title>" in html.decode()
        assert f"<h1>{title}</h1>\n<p>{detail}</p>" in unescaped


def test_the_success_page_does_not_reveal_a_taken_address() -> None:
    """With concealment, the page states that an account was created if there was none before."""
    assert b"Your account was created." in pages()["done"]
    concealing = pages(change(SETTINGS, duplicate_response="conceal"))
    assert all(b"account was created" not in html for html in concealing.values())
    assert b"If there was no account with" in concealing["done"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_extra_fields_are_inputs_with_labels_in_the_pages_language(language: str) -> None:
    """Each input has its type, `required` and minimum length; texts are escaped; no checkbox is ticked."""
    html = pages(WITH_FIELDS, texts(language))["form"].decode()
    tree = Tree(html.encode())
    inputs = {name: tree.by_id(f"extra/{name}") for name in EXTRA}
    actual = {
        name: (attributes["name"], attributes.get("type"), attributes["data-extra"])
        for name, attributes in inputs.items()
    }
    types = {"company": "text", "seats": "text", "plan": None, "size": None}
    types |= dict.fromkeys(("newsletter", "adult"), "checkbox")
    assert actual == {name: (f"extra.{name}", kind, name) for name, kind in types.items()}
    assert [name for name, attributes in inputs.items() if "required" in attributes] == ["plan", "adult"]
    assert "checked" not in {name for _, attributes in tree.elements for name in attributes}
    assert (inputs["company"]["minlength"], inputs["seats"]["inputmode"]) == ("2", "numeric")
    german = language == "de"
    company = texts(language).page.optional.format(label="Firma" if german else "Company")
    assert f'<label for="extra/company">{company}</label>' in html
    assert f'<label for="extra/adult">{"Ich bin 18" if german else "I am 18"}</label>' in html
    assert "&lt;b&gt;Seats &amp; more&lt;/b&gt;" in html
    options = [attributes["value"] for tag, attributes in tree.elements if tag == "option"]
    assert options == ["", "free", "<team>", "", "10", "20"]
    free = {"de": "Kostenlos", "en": "Free &amp; easy"}.get(language, "free")
    assert f'<option value="free">{free}</option>' in html


def test_the_terms_are_a_checkbox_with_a_link() -> None:
    """The checkbox is required and not pre-ticked; without the setting it is absent."""
    tree = Tree(pages(WITH_FIELDS)["form"])
    box = tree.by_id("terms")
    assert (box["type"], box["value"], "required" in box, "checked" in box) == ("checkbox", "2026-11", True, False)
    assert ("a", {"href": WITH_FIELDS.terms_url, "target": "_blank", "rel": "noopener"}) in tree.elements
    assert b'name="terms"' not in pages()["form"]
    hostile = change(WITH_FIELDS, terms_url='https://a.example/"><script>')
    assert "<script>" not in Page(hostile, ENGLISH).form("k", {}).decode().partition("<form")[2]


def test_errors_of_extra_fields_and_terms_are_shown_at_their_inputs() -> None:
    """The inputs are marked as invalid, described by their errors, and linked from the summary."""
    tree = Tree(pages(WITH_FIELDS)["wrong"])
    ids = [*(f"extra/{name}" for name in EXTRA), "terms"]
    for name in ids:
        assert (tree.by_id(name)["aria-invalid"], tree.by_id(name)["aria-describedby"]) == ("true", f"{name}-error")
        assert "hidden" not in tree.by_id(f"{name}-error")
    links = [
        attributes["href"] for tag, attributes in tree.elements if tag == "a" and attributes["href"].startswith("#")
    ]
    assert links == [f"#{name}" for name in (*INPUTS, *ids)]
