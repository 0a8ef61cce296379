"""The page's HTML and its policy, without a request."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from signup.i18n.english import ENGLISH, Texts
from signup.i18n.german import GERMAN
from signup.openapi.responses import REQUEST_ID, SAMPLES
from signup.pages.sign_up_page import FIELDS, Mistakes, Page
from tests.fakes import SETTINGS, change

PUBLIC = Path(__file__).parents[3] / "public"
LOADED = change(
    SETTINGS,
    service_name="Tea & Cake",
    page_colour="#ffcc00",
    next_url="https://a.example/b",
    turnstile_secret="canary",
    turnstile_hostnames="www.example.com",
    turnstile_action="join",
    turnstile_site_key="1x00AA",
)
VOID = {"meta", "link", "input"}
LARGEST = 30 * 1024


class Tree(HTMLParser):
    """A page as it is nested, of which nothing may be left open, and what stands in it."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(html.decode())
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open one."""
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close one."""
        assert self.open.pop() == tag

    def by_id(self, name: str) -> dict[str, str]:
        """Return the attributes of the one element with this id."""
        (found,) = [given for _, given in self.elements if given.get("id") == name]
        return found


def pages(settings: object = SETTINGS, texts: Texts = ENGLISH) -> dict[str, bytes]:
    """Return each kind of page that there is."""
    assert isinstance(settings, type(SETTINGS))
    page = Page(settings, texts)
    wrong = Mistakes(
        "Wrong", ["Because."], [(name, "is <wrong>") for name in (*FIELDS, "cf-turnstile-response", "role")]
    )
    return {"form": page.form("k", {}), "wrong": page.form("k", {"name": "Ada"}, wrong), "done": page.done()}


CONCEALING = change(LOADED, duplicate_response="conceal")
EACH = [(settings, texts) for settings in (SETTINGS, LOADED, CONCEALING) for texts in (ENGLISH, GERMAN)]


@pytest.mark.parametrize(("settings", "texts"), EACH)
def test_pages_are_whole(settings: object, texts: Texts) -> None:
    """Every element is closed, every id is there once, and what a label, link or description names is there."""
    for html in pages(settings, texts).values():
        tree = Tree(html)
        ids = [given["id"] for _, given in tree.elements if "id" in given]
        assert len(ids) == len(set(ids))
        named = [given["for"] for tag, given in tree.elements if tag == "label"]
        named += [given["href"][1:] for tag, given in tree.elements if tag == "a"]
        named += [each for _, given in tree.elements for each in given.get("aria-describedby", "").split()]
        assert set(named) <= set(ids)
        assert ("html", {"lang": texts.language}) in tree.elements


@pytest.mark.parametrize(("settings", "texts"), EACH)
def test_nothing_runs_that_is_not_a_file_of_ours_or_turnstiles(settings: object, texts: Texts) -> None:
    """No script, style attribute or handler is inline; the one style is that of the policy."""
    for html in pages(settings, texts).values():
        for tag, given in Tree(html).elements:
            assert tag != "script" or re.fullmatch(r"/signup\.js|https://challenges\.cloudflare\.com/.*", given["src"])
            assert not [name for name in given if name == "style" or name.startswith("on")]


@pytest.mark.parametrize(("settings", "texts"), EACH)
def test_the_whole_page_is_small(settings: object, texts: Texts) -> None:
    """HTML, style, script and icon together, as they are."""
    files = sum((PUBLIC / f"signup.{kind}").stat().st_size for kind in ("css", "js", "svg"))
    assert max(len(html) for html in pages(settings, texts).values()) + files < LARGEST


def test_fields_are_what_browsers_and_password_managers_know() -> None:
    """Types, what may be filled in, labels, and no way in which a browser would refuse what the Worker takes."""
    tree = Tree(pages()["form"])
    fields = {given["name"]: given for tag, given in tree.elements if tag == "input"}
    assert [*fields] == ["idempotency-key", "name", "email", "password"]
    assert {name: (given["type"], given["autocomplete"]) for name, given in fields.items()} == {
        "idempotency-key": ("hidden", "off"),
        "name": ("text", "name"),
        "email": ("email", "email"),
        "password": ("password", "new-password"),
    }
    assert "novalidate" in tree.by_id("sign-up")
    assert (tree.by_id("sign-up")["method"], tree.by_id("sign-up")["action"]) == ("post", "/")
    assert not [name for given in fields.values() for name in given if name in ("maxlength", "pattern")]
    # Only with JavaScript.
    assert "hidden" in tree.by_id("show-password")


def test_the_hint_says_how_long_a_password_must_be() -> None:
    """As the settings have it, to people and to the script."""
    html = pages(change(SETTINGS, password_min_length=9))["form"]
    assert b"At least 9 characters." in html
    assert Tree(html).by_id("sign-up")["data-least"] == "9"


def test_problems_stand_at_their_fields() -> None:
    """Marked, described by hint and text, linked from the summary; without a problem none of it."""
    tree = Tree(pages(LOADED)["wrong"])
    assert tree.by_id("password")["aria-describedby"] == "password-hint password-error"
    assert all(tree.by_id(name)["aria-invalid"] == "true" for name in FIELDS)
    assert [given["href"] for tag, given in tree.elements if tag == "a"] == ["#name", "#email", "#password"]
    assert "hidden" not in tree.by_id("cf-turnstile-response-error")
    tree = Tree(pages(LOADED)["form"])
    assert not any("aria-invalid" in given for _, given in tree.elements)
    assert all("hidden" in tree.by_id(f"{name}-error") for name in (*FIELDS, "cf-turnstile-response"))
    assert "hidden" in tree.by_id("summary")


def test_what_was_typed_comes_back_and_the_password_does_not() -> None:
    """Escaped, in its field."""
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
    """Return the directives of its policy."""
    text = page.headers("accept")["content-security-policy"]
    return {name: value for name, _, value in (each.partition(" ") for each in text.split("; "))}


def test_the_policy_allows_for_what_the_page_needs() -> None:
    """Its own files, its one style by hash, the widget, and where the form leads; and nothing else."""
    own = dict.fromkeys(("script-src", "style-src", "img-src", "connect-src", "form-action"), "'self'")
    none = dict.fromkeys(("default-src", "base-uri", "frame-ancestors"), "'none'")
    assert policy(Page(SETTINGS, ENGLISH)) == own | none
    page = Page(LOADED, ENGLISH)
    (style,) = re.findall(rb"<style>(.*)</style>", page.form("k", {}))
    digest = b64encode(sha256(style).digest()).decode()
    assert policy(page) == none | own | {
        "script-src": "'self' https://challenges.cloudflare.com",
        "frame-src": "https://challenges.cloudflare.com",
        "style-src": f"'self' 'sha256-{digest}'",
        "form-action": "'self' https://a.example",
    }
    # The widget stands where there is a key for it.
    assert "frame-src" not in policy(Page(change(LOADED, turnstile_site_key=""), ENGLISH))


def test_the_widget_is_told_what_it_is_for() -> None:
    """Its key, its action, and the page's language; without a key there is none."""
    for texts in (ENGLISH, GERMAN):
        (widget,) = [
            given for _, given in Tree(pages(LOADED, texts)["form"]).elements if given.get("class") == "cf-turnstile"
        ]
        told = (widget["data-sitekey"], widget["data-action"], widget["data-language"])
        assert told == ("1x00AA", "join", texts.language)
    keyless = change(LOADED, turnstile_site_key="")
    for settings in (SETTINGS, keyless):
        assert b"turnstile" not in pages(settings)["form"]


@pytest.mark.parametrize("code", sorted(SAMPLES))
def test_every_problem_is_told(code: str) -> None:
    """Fields at the fields, a taken address at the address, and all else with its title and detail."""
    problem = SAMPLES[code]
    content: dict[str, object] = {
        "code": code,
        "title": problem.title,
        "detail": problem.detail,
        "status": problem.status,
    }
    content |= {"instance": REQUEST_ID, **problem.members()}
    mistakes = Page(SETTINGS, ENGLISH).mistakes(content, None)
    if code == "validation_failed":
        assert [name for name, _ in mistakes.fields] == ["email", "password", "role"]
    elif code == "email_taken":
        assert mistakes.fields == [("email", problem.detail)]
    else:
        assert (mistakes.title, mistakes.detail[0], mistakes.fields) == (problem.title, problem.detail, [])
    assert (REQUEST_ID in " ".join(mistakes.detail)) == (problem.status == 500)
    assert (ENGLISH.again in mistakes.detail) == (code == "proxy_timeout")


@pytest.mark.parametrize(("seconds", "said"), [(1, "in 1 second."), (60, "in 60 seconds.")])
def test_when_to_come_back_is_said_in_words(seconds: int, said: str) -> None:
    """As Retry-After has it."""
    content: dict[str, object] = {"code": "too_busy", "title": "x", "detail": "y", "status": 503}
    assert Page(SETTINGS, ENGLISH).mistakes(content, seconds).detail[-1].endswith(said)


def test_names_of_unknown_fields_are_read_as_pointers() -> None:
    """RFC 6901: what a pointer escapes is shown as it was."""
    errors = [{"pointer": "/a~1b~01", "code": "unknown_field", "detail": "is not a known field"}]
    mistakes = Page(SETTINGS, ENGLISH).mistakes({"errors": errors}, None)
    assert mistakes.fields == [("a/b~1", "is not a known field")]


def test_done_says_what_is_known() -> None:
    """That there is a user; or, where addresses are concealed, that there is one if there was none."""
    assert b"Your account was created." in pages()["done"]
    concealing = pages(change(SETTINGS, duplicate_response="conceal"))
    assert all(b"account was created" not in html for html in concealing.values())
    assert b"If there was no account" in concealing["done"]
