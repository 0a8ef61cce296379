"""The e-mails that `wrangler dev` captures from the binding EMAIL."""

import re
import time
from dataclasses import dataclass

import httpx

from tests.e2e.conftest import Running

# The path of wrangler's list of captured e-mails.
CAPTURED_MAILS = "/cdn-cgi/local/explorer/api/local/email/sending"
# The key in VERIFICATION_SECRET.
KEY = b"verification key of the tests ..."
# The link in an e-mail.
LINK = re.compile(r"http://localhost:\d+(/verify\?token=([A-Za-z0-9_.-]+))")
# The maximum time to wait for an e-mail, in seconds.
TIMEOUT = 30


@dataclass(frozen=True)
class CapturedMail:
    """A captured e-mail, with its bodies in plain text and in HTML."""

    subject: str
    text: str
    html: str

    @property
    def path(self) -> str:
        """The path and the query of the link, which contains the token."""
        return str(LINK.findall(self.text)[0][0])

    @property
    def token(self) -> str:
        """The token of the link."""
        return str(LINK.findall(self.text)[0][1])


def run_schedule(worker: Running) -> None:
    """Deliver the messages that are due, as the cron trigger does."""
    assert worker.client.get("/cdn-cgi/handler/scheduled?cron=*+*+*+*+*").text == "ok"


def read_mails(worker: Running, email: str, number: int = 1) -> list[CapturedMail]:
    """Wait for at least `number` e-mails to an address, and return them, the oldest first.

    Raises:
        AssertionError: fewer e-mails arrive within 30 s.
    """
    deadline = time.monotonic() + TIMEOUT
    while True:
        response = httpx.get(worker.stack.base_url + CAPTURED_MAILS, params={"per_page": 100}, timeout=TIMEOUT)
        captured = response.json()["result"]
        entries = sorted((each for each in captured if each["to"] == [email]), key=lambda each: each["sentAt"])
        mails = [_read(worker, each["subject"], each["messageId"].strip("<>")) for each in entries]
        complete = [mail for mail in mails if mail is not None]
        if len(complete) >= number:
            return complete
        assert time.monotonic() < deadline, worker.lines[-5:]
        time.sleep(0.1)


def _read(worker: Running, subject: str, message_id: str) -> CapturedMail | None:
    """Return an e-mail, or None while wrangler has not written both of its bodies."""
    folder = worker.stack.options.state / "worker" / ".wrangler" / "tmp" / "email"
    files = [*folder.glob(f"*/email-text/{message_id}.txt"), *folder.glob(f"*/email-html/{message_id}.html")]
    bodies = [file.read_text(encoding="utf-8") for file in files]
    return CapturedMail(subject, *bodies) if len(bodies) == len(("text", "html")) and all(bodies) else None
