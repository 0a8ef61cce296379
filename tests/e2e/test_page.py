"""The sign-up page on workerd, as requested and posted by a browser without JavaScript."""

import re
from html.parser import HTMLParser

import httpx
import pytest

from devstack.setup.bootstrap import ROOT
from tests.e2e.conftest import AGREED, PASSWORD, Running, new_email

# The Accept header of Chromium.
HTML = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}
GERMAN = {"accept-language": "de-AT,de;q=0.9,en;q=0.8"}
# The maximum size of the page and the files that it loads, in bytes.
MAX_BYTES = 30 * 1024


class Elements(HTMLParser):
    """The attributes of each element with an id, the files that the page loads, and its idempotency key."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: dict[str, dict[str, str | None]] = {}
        self.loaded: list[str] = []
        self.key = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the attributes of a tag."""
        attributes = dict(attrs)
        if attributes.get("id"):
            self.ids[str(attributes["id"])] = attributes
        if attributes.get("name") == "idempotency-key":
            self.key = str(attributes["value"])
        source = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
        if source:
            self.loaded.append(source)


def post_form(worker: Running, fields: dict[str, str], headers: dict[str, str] | None = None) -> httpx.Response:
    """Post a form as a browser does from the sign-up page."""
    same_origin = {"origin": worker.stack.base_url, "sec-fetch-site": "same-origin"}
    return worker.client.post("/", data=fields, headers={**HTML, **same_origin, **(headers or {})})


def form_fields(key: str = "") -> dict[str, str]:
    """Return valid fields of a form with a new address."""
    return {"idempotency-key": key or new_email(), "name": "Ada", "email": new_email(), "password": PASSWORD}


def test_the_page_is_served_where_html_is_acceptable(worker: Running) -> None:
    """Clients that accept HTML or any media type get the page, whose files are all served; other clients get 406."""
    page = worker.client.get("/", headers=HTML)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (page.headers["content-language"], page.headers["vary"]) == ("en", "accept, accept-language")
    elements = Elements(page.text)
    assert sorted(elements.loaded) == ["/signup.css", "/signup.js", "/signup.svg"]
    size = len(page.content)
    for path in elements.loaded:
        response = httpx.get(f"{worker.stack.base_url}{path}")
        assert response.status_code == 200
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "public, max-age=60"
        assert response.content == (ROOT / "public" / path[1:]).read_bytes()
        size += len(response.content)
    assert size < MAX_BYTES
    head = worker.client.head("/", headers=HTML)
    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", page.headers["content-type"])
    assert worker.client.get("/", headers={"accept": "*/*"}).headers["content-type"] == page.headers["content-type"]
    other = worker.client.get("/", headers={"accept": "application/json"})
    assert (other.status_code, other.json()["code"], other.headers["vary"]) == (
        406,
        "not_acceptable",
        "accept, accept-language",
    )


def test_each_page_has_its_own_idempotency_key(worker: Running) -> None:
    """A reloaded page has a new key, because it is for another sign-up."""
    keys = {Elements(worker.client.get("/", headers=HTML).text).key for _ in range(3)}
    assert len(keys) == 3
    assert all(re.fullmatch(r"[0-9a-f-]{36}", key) for key in keys)


def test_a_form_signs_a_user_up_once(worker: Running) -> None:
    """The response is a page with 201; posting the form again gets the same response and no second user."""
    fields = form_fields()
    first, again = post_form(worker, fields), post_form(worker, fields)
    assert (first.status_code, again.status_code) == (201, 201)
    assert "done" in Elements(first.text).ids
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert worker.rows('SELECT name FROM "User" WHERE email = %s', fields["email"]) == [("Ada",)]


def test_an_error_is_shown_at_its_field(worker: Running) -> None:
    """The 422 is the form with links in a summary, errors at invalid fields, and all values except the password."""
    fields = {**form_fields(), "name": '<b>"', "email": "no-address", "password": "canary"}
    response = post_form(worker, fields)
    assert (response.status_code, response.headers["content-type"]) == (422, "text/html; charset=utf-8")
    elements = Elements(response.text)
    assert elements.ids["summary"].keys() >= {"role", "autofocus"}
    assert re.findall(r'<a href="#(\w+)">', response.text) == ["email", "password"]
    assert elements.ids["name"]["value"] == '<b>"'
    assert elements.ids["email"]["value"] == "no-address"
    assert elements.ids["email"]["aria-describedby"] == "email-error"
    assert elements.ids["password"]["aria-describedby"] == "password-hint password-error"
    assert [elements.ids[name].get("aria-invalid") for name in ("name", "email", "password")] == [None, "true", "true"]
    assert "canary" not in response.text
    assert elements.key != fields["idempotency-key"]


def test_a_taken_address_is_an_error_of_the_address_field(worker: Running) -> None:
    """The status is 409, as in the JSON API, and the page has the error at the field."""
    fields = form_fields()
    assert post_form(worker, fields).status_code == 201
    response = post_form(worker, {**fields, "idempotency-key": new_email()})
    assert response.status_code == 409
    assert Elements(response.text).ids["email"]["aria-invalid"] == "true"
    assert "An account with this e-mail address already exists." in response.text


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"name=a&name=b", {}, 400),
        (b"name=%ff", {}, 400),
        (b"a&" * 200, {}, 400),
        (b"name=" + b"a" * 16_400, {}, 413),
        (b"", {"content-type": "application/x-www-form-urlencoded; charset=latin-1"}, 415),
        (b"", {"content-encoding": "gzip"}, 415),
        (b"", {}, 422),
        (b"role=admin", {}, 422),
        (b"", {"origin": "https://evil.example"}, 403),
        (b"", {"sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_problems_of_a_form_are_pages(worker: Running, content: bytes, headers: dict[str, str], status: int) -> None:
    """The response is a page with a summary that has the focus, instead of problem details."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    response = worker.client.post("/", content=content, headers={**form, **HTML, **headers})
    assert (response.status_code, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert "autofocus" in Elements(response.text).ids["summary"]


def test_german_is_used_if_requested(worker: Running) -> None:
    """Page, form responses, problem details and descriptions of codes are in German if Accept-Language requests it."""
    page = worker.client.get("/", headers={**HTML, **GERMAN})
    assert page.headers["content-language"] == "de"
    assert '<html lang="de">' in page.text
    assert (
        "Passwort muss mindestens 15 Zeichen lang sein"
        in post_form(worker, {**form_fields(), "password": "x"}, GERMAN).text
    )
    problem = worker.client.post("/", json={"name": "Ada"}, headers=GERMAN)
    assert (problem.headers["content-language"], problem.headers["vary"]) == ("de", "accept-language")
    assert problem.json()["title"] == "Ungültige Angaben"
    assert problem.json()["errors"][0] == {
        "pointer": "/email",
        "code": "required",
        "detail": "Geben Sie Ihre E-Mail-Adresse ein.",
    }
    meaning = worker.client.get("/problems/email_taken", headers=GERMAN)
    assert meaning.json()["title"] == "E-Mail-Adresse bereits vergeben"
    english = worker.client.get("/problems/email_taken", headers={"accept-language": "tlh"})
    assert (english.json()["title"], english.headers["content-language"]) == ("E-mail address already in use", "en")


def test_the_settings_are_applied_to_the_page(strict: Running) -> None:
    """The page has the service's name and the colour, and the browser is redirected to the next URL.

    The content security policy allows the style with the colour, and the origin of the next URL.
    """
    page = strict.client.get("/", headers=HTML)
    done = post_form(strict, form_fields())
    refused = post_form(strict, {**form_fields(), "password": "x"})
    assert "Tea &amp; &lt;b&gt;Cake" in page.text
    assert "<style>:root{--accent:#ffcc00;--on-accent:#000000}</style>" in page.text
    policy = page.headers["content-security-policy"]
    assert re.search(r"style-src 'self' 'sha256-[A-Za-z0-9+/]{43}='", policy)
    assert "form-action 'self' https://www.example.com;" in policy
    assert "unsafe" not in policy
    assert page.headers["vary"] == "accept, accept-language, origin"
    assert (done.status_code, done.headers["location"]) == (303, "https://www.example.com/welcome?from=signup")
    assert (done.content, refused.status_code) == (b"", 422)


def test_concealment_applies_to_the_page(configured: Running) -> None:
    """New and known addresses get the same page."""
    fields = {**form_fields(), "terms": AGREED["terms"], "extra.plan": "free"}
    responses = [post_form(configured, {**fields, "idempotency-key": new_email()}) for _ in range(2)]
    assert [response.status_code for response in responses] == [202, 202]
    assert responses[0].text == responses[1].text
    assert "If there was no account" in responses[0].text
