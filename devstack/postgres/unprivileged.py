"""Become a program that refuses to run as root: `python unprivileged.py [--own PATH]... PROGRAM [ARGUMENT]...`.

PostgreSQL will not start as root, and in a container root is often all there is. Becoming `nobody` is not enough there:
the checkout may lie below a directory that only root may enter, such as one of `mktemp -d`. So this process, before it
becomes PROGRAM (same process id):

1. As an ordinary user it changes nothing about its identity.
2. As root it enters a user namespace (user_namespaces(7)) in which it has an ordinary user's id. To everyone outside
   it is still root's process: files that it makes are root's and it may enter what root owns. Signals reach it as ever.
   The same is done for a user id that has no name, as in `docker run --user 12345`: initdb insists on one.
3. Where namespaces are forbidden, as by Docker's default seccomp profile, root gives the paths named with `--own` to
   `nobody` and becomes that user; where `nobody` cannot reach them or PROGRAM, it keeps the one capability to enter
   (CAP_DAC_OVERRIDE, capabilities(7)), which a container's root has.

On Linux PROGRAM gets SIGINT when the thread that started this process dies, whatever killed it (PR_SET_PDEATHSIG,
prctl(2)), so that a killed supervisor leaves no orphan. Start it from a thread that lives as long as PROGRAM should.

This is run by its path and imports nothing but the standard library, so that it needs no particular directory.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pwd
import signal
import sys
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# linux/prctl.h, linux/sched.h (os.unshare exists only since Python 3.12), linux/securebits.h, linux/capability.h
PR_SET_PDEATHSIG, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 28, 47, 2
CLONE_NEWUSER = 0x10000000
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAPABILITY_VERSION_3, CAP_DAC_OVERRIDE = 0x20080522, 1

ADVICE = (
    "run this as an ordinary user, or allow user namespaces (Docker: --security-opt seccomp=unconfined), "
    "or move the checkout to where every user can read it"
)


def main(arguments: list[str]) -> None:
    """Drop root's identity if need be, and become the program.

    Raises:
        SystemExit: neither way of dropping root works here; the message says what to do.
        OSError: the program cannot be executed.
    """
    own: list[Path] = []
    while arguments and arguments[0] == "--own":
        own.append(Path(arguments[1]))
        arguments = arguments[2:]
    program, *_ = arguments
    parent = os.getppid()
    _drop_root(program, own)
    # After the change of identity, because that change clears the setting.
    _die_with_parent(parent)
    # PROGRAM is found by this repository, not by the outside.
    os.execv(program, arguments)  # noqa: S606 - becoming the program is the purpose


def ordinary_user() -> pwd.struct_passwd | None:
    """Return `nobody`, else any account that is not root's, else None (a machine without an /etc/passwd)."""
    accounts = [account for account in pwd.getpwall() if account.pw_uid != 0]
    return next((a for a in accounts if a.pw_name == "nobody"), accounts[0] if accounts else None)


def _drop_root(program: str, own: list[Path]) -> None:
    if os.geteuid() != 0 and _has_name(os.geteuid()):
        return
    account = ordinary_user()
    if account is None:
        raise SystemExit(f"{program}: needs an account other than root in /etc/passwd, and there is none")
    if sys.platform == "linux" and _succeeds(lambda: _enter_namespace(account)):
        _enter_namespace(account)
        return
    if os.geteuid() != 0:
        raise SystemExit(f"{program}: needs user id {os.geteuid()} to have a name in /etc/passwd")
    for path in own:
        for each in (path, *path.rglob("*")):
            os.chown(each, account.pw_uid, account.pw_gid, follow_symlinks=False)
    needed = (Path(program), *own)
    keep_access = sys.platform == "linux" and not _succeeds(lambda: _become(account, needed))
    try:
        _become(account, needed, keep_access=keep_access)
    except OSError as exc:
        raise SystemExit(f"{program} refuses to run as root, and {account.pw_name} cannot: {exc}; {ADVICE}") from exc


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _succeeds(attempt: Callable[[], None]) -> bool:
    """Try it in a child process first: neither a namespace nor a user id can be taken back."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            attempt()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def _enter_namespace(account: pwd.struct_passwd) -> None:
    # Outside ids first: inside, before the maps are written, they read as 65534.
    uid_map, gid_map = f"{account.pw_uid} {os.geteuid()} 1", f"{account.pw_gid} {os.getegid()} 1"
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    # The kernel wants setgroups given up before it lets an unprivileged process write a gid_map.
    for name, text in (("setgroups", "deny"), ("gid_map", gid_map), ("uid_map", uid_map)):
        Path("/proc/self", name).write_text(text, encoding="ascii")


def _become(account: pwd.struct_passwd, needed: Iterable[Path], *, keep_access: bool = False) -> None:
    """Become the user, and raise an OSError when it cannot read what it needs."""
    if keep_access:
        # Else the kernel takes every capability when the user changes, and access(2) overlooks them for all but root.
        _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
        _make_inheritable(CAP_DAC_OVERRIDE)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    if keep_access:
        # What is ambient is all that survives the exec.
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE)
    for path in needed:
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _make_inheritable(capability: int) -> None:
    # capset(2): a header, and twice effective, permitted and inheritable, of 32 bits each.
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    sets[2] |= 1 << capability
    if libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _prctl(option: int, *arguments: int) -> None:
    values = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if ctypes.CDLL(None, use_errno=True).prctl(option, *values) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def _die_with_parent(parent: int) -> None:
    if sys.platform != "linux":
        return
    _prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        # It died before the setting was made, and nobody would tell.
        raise SystemExit("the process that started this one is gone")


if __name__ == "__main__":
    main(sys.argv[1:])
