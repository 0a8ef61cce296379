"""Messages of the outbox, e-mails, and the error of a delivery that failed."""

from dataclasses import dataclass, field
from datetime import datetime

from signup.problems import Problem

VERIFY_EMAIL, ALREADY_REGISTERED = "verify_email", "already_registered"
USER_CREATED, USER_VERIFIED = "user.created", "user.verified"
MAILS = (VERIFY_EMAIL, ALREADY_REGISTERED)
WEBHOOKS = (USER_CREATED, USER_VERIFIED)


@dataclass(frozen=True, slots=True)
class Mail:
    """An e-mail.

    Args:
        to: the address of the recipient.
        subject: the subject, on one line.
        text: the body in plain text.
        html: the body in HTML.
    """

    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """A message to deliver.

    Args:
        id: the id of the row.
        key: the idempotency key, which is the same for each attempt.
        kind: the kind, one of `MAILS` or `WEBHOOKS`.
        user_id: the id of the user, as text.
        email: the address of the user.
        name: the name of the user.
        language: the language tag of the user; "" if unknown.
        attempts: the number of attempts, including this one.
        created_at: the time at which the message was recorded.
        signed_up_at: the time of the sign-up if this is another verification e-mail, sent on request; else None.
        extra: the user's extra fields (`EXTRA_FIELDS`), for webhooks; None if the user has none.
    """

    id: str
    key: str
    kind: str
    user_id: str
    email: str = field(repr=False)
    name: str = field(repr=False)
    language: str
    attempts: int
    created_at: datetime
    signed_up_at: datetime | None = None
    extra: object = field(default=None, repr=False)


class DeliveryFailed(Problem):
    """A message was not delivered, or the outcome is unknown.

    Args:
        error: the error code for the log and the database.
        permanent: whether another attempt would fail too.
        retry_after: the seconds in the receiver's Retry-After; None if it sent none.
    """

    def __init__(self, error: str, *, permanent: bool = False, retry_after: int | None = None) -> None:
        super().__init__(retry_after=retry_after)
        self.error = error
        self.permanent = permanent
