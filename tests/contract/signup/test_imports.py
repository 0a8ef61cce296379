"""Imports of a new process: the modules that are imported, and the operations that must not run during an import."""

import json
import subprocess
import sys

from devstack.setup.bootstrap import ROOT

SRC = ROOT / "src"


def test_importing_uses_no_randomness_sockets_or_file_writes() -> None:
    """All modules except entry.py and the runtime can be imported while randomness, sockets and file writes fail.

    workerd has no entropy while an isolate starts, and a snapshot would give every isolate the same random numbers.
    """
    modules = [
        ".".join(file.relative_to(SRC).with_suffix("").parts)
        for file in sorted(SRC.rglob("*.py"))
        if file.name != "entry.py" and file.parent.name != "runtime"
    ]
    script = f"""
import sys
# The imports of the standard library and of packages are not checked.
import httpx, pydantic, email_validator, jinja2, idna, json, uuid, traceback, hashlib, ipaddress
pydantic.BaseModel, pydantic.SecretStr, pydantic.AfterValidator, pydantic.ConfigDict, pydantic.ValidationInfo
pydantic.StringConstraints, pydantic.ValidationError
import pydantic.main
class Probe(pydantic.BaseModel):
    x: pydantic.SecretStr
def audit(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event.startswith(("socket.", "subprocess.", "os.putenv")):
        raise RuntimeError(event)
sys.addaudithook(audit)
import os, random, secrets
def refuse(*_):
    raise RuntimeError("entropy")
os.urandom = random.seed = random.random = secrets.token_bytes = uuid.uuid4 = refuse
for name in {modules!r}:
    __import__(name)
"""
    command = [sys.executable, "-B", "-c", script]
    completed = subprocess.run(command, cwd=SRC, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr


def test_modules_of_unused_settings_are_not_imported() -> None:
    """A JSON sign-up imports domain lists, invitations and extra fields only if they are used.

    A plain address does not need email-validator, which takes as long to import as pydantic.
    """
    script = """
import asyncio, json, sys
import httpx
body = json.dumps({"name": "Ada", "email": "ada@mailinator.com", "password": "correct horse battery staple"}).encode()
async def read(*_): return body
async def kdf(password, salt, profile, deadline): return bytes(profile.key_length)
def created(request):
    *stored, _, key = json.loads(request.content)["params"]
    return httpx.Response(200, json={"rows": [[key, "1", *stored, "2026-11-22T20:00:00.000Z", None]]})
optional = ("_domains", "email_validator", "signed_tokens", "invitations.guard", "invitations.tokens", "extra_fields")
for settings in json.loads(sys.argv[1]):
    from signup.composition import Platform, build
    from signup.web.messages import Request
    bindings = {"DATABASE_URL": "sql+http://token@127.0.0.1:1/", **settings}
    app = build(bindings.get, Platform(lambda: httpx.MockTransport(created), kdf, lambda _: None, lambda _: None))
    response = asyncio.run(app(Request("POST", "/", {"content-type": "application/json"}, read)))
    print(response.status, *sorted(name for name in sys.modules if name.endswith(optional)))
    for name in [name for name in sys.modules if name.startswith(("signup", "email_validator"))]:
        del sys.modules[name]
"""
    invite = {"SIGN_UP": "invite", "INVITATION_SECRET": f"a:{'A' * 43}="}
    extra = {"EXTRA_FIELDS": '{"properties": {"a": {"type": "boolean", "title": "A"}}, "required": ["a"]}'}
    settings = [{}, {"DISPOSABLE_EMAIL": "refuse"}, {"EMAIL_DOMAINS_BLOCKED": "canary_.example"}, invite, extra]
    command = [sys.executable, "-c", script, json.dumps(settings)]
    completed = subprocess.run(command, cwd=SRC, capture_output=True, text=True, check=True)
    assert completed.stdout.splitlines() == [
        "201",
        "422 signup.fields.disposable_domains signup.fields.email_domains",
        # Most errors in a list are found without email-validator, which is slow to import.
        "500 signup.fields.email_domains",
        "403 signup.hashing.signed_tokens signup.invitations.guard signup.invitations.tokens",
        "422 signup.fields.extra_fields",
    ]
