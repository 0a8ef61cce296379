"""The page's texts in English, which name what there is to say; `german` says the same."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Texts:
    """What the page says. `{least}`, `{n}`, `{id}` stand for numbers; an `_one` is for one of something.

    Args:
        language: of all this, as `lang` has it.
        title: the page's.
        labels: of the fields; of Turnstile's widget too.
        hint: what a password must be.
        show: on the button that shows the password.
        submit: on the button that signs up.
        error: before the title of a page that shows a problem.
        check: above the list of fields that are wrong.
        again: when trying again is safe.
        retry: when to come back.
        reference: the request's id, for whoever asks for help.
        done, created: the title and the text when a user was made.
        accepted, perhaps: the same when it is not told whether one was.
        no_script: with Turnstile, which needs JavaScript.
        sending, missing, enough, surplus, unheard, unheard_why: what only the script says.
    """

    language: str
    title: str
    labels: dict[str, str]
    hint: str
    show: str
    submit: str
    error: str
    check: str
    again: str
    retry: str
    retry_one: str
    reference: str
    done: str
    created: str
    accepted: str
    perhaps: str
    no_script: str
    sending: str
    missing: str
    missing_one: str
    enough: str
    surplus: str
    surplus_one: str
    unheard: str
    unheard_why: str


ENGLISH = Texts(
    language="en",
    title="Sign up",
    labels={
        "name": "Name",
        "email": "E-mail address",
        "password": "Password",
        "cf-turnstile-response": "The check against bots",
    },
    hint="At least {least} characters. Any characters will do, spaces too.",
    show="Show password",
    submit="Sign up",
    error="Error",
    check="Please look at what is marked",
    again="It is safe to try again: nobody is signed up twice.",
    retry="You can try again in {n} seconds.",
    retry_one="You can try again in 1 second.",
    reference="The number of this request, should you ask for help: {id}",
    done="You are signed up",
    created="Your account was created.",
    accepted="Thank you",
    perhaps="If there was no account with your e-mail address before, there is one now.",
    no_script="A check against bots needs JavaScript, which is off here.",
    sending="Signing up …",
    missing="{n} characters missing",
    missing_one="1 character missing",
    enough="Long enough",
    surplus="{n} characters too many",
    surplus_one="1 character too many",
    unheard="No answer",
    unheard_why="The service could not be reached, or its answer was lost.",
)
