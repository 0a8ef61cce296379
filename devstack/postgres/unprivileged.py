"""Execute a program that refuses to run as root: `python unprivileged.py [--own PATH]... PROGRAM [ARGUMENT]...`.

PostgreSQL does not start as root, but a container often has no other user. Switching to an unprivileged user is not
enough: the checkout may be below a directory that only root may enter, such as one of `mktemp -d`. Before this process
executes PROGRAM (with the same process id), it changes its identity as follows:

1. An ordinary user stays as it is.
2. root enters a user namespace (user_namespaces(7)) in which it has an ordinary user's id. Outside, it is still root's
   process: its files belong to root, and it may enter root's directories. Signals work as usual. The same is done for a
   user id without a name, as in `docker run --user 12345`, because initdb needs a name.
3. If namespaces are forbidden, as by Docker's default seccomp profile, root gives the paths of `--own` to an ordinary
   user and switches to it. If that user cannot read these paths or PROGRAM, the process keeps the single capability
   CAP_DAC_OVERRIDE (capabilities(7)), which a container's root has.

On Linux, PROGRAM receives SIGINT when the thread that started this process ends (PR_SET_PDEATHSIG, prctl(2)), so that a
killed supervisor leaves no orphan. Start it from a thread that lives as long as PROGRAM should.

This file is run by its path and only imports the standard library, so that it works in any directory.
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
    """Drop root's identity if necessary, and execute the program.

    Raises:
        SystemExit: no way of dropping root's identity works here; the message says what to do.
        OSError: the program cannot be executed.
    """
    own: list[Path] = []
    while arguments and arguments[0] == "--own":
        own.append(Path(arguments[1]))
        arguments = arguments[2:]
    program, *_ = arguments
    parent = os.getppid()
    _drop_root(program, own)
    # After the change of identity, which clears this setting.
    _die_with_parent(parent)
    os.execv(program, arguments)  # noqa: S606 - the arguments come from this repository


def ordinary_user() -> pwd.struct_passwd | None:
    """Return the account for unprivileged processes, else any that is not root's, else None (no /etc/passwd)."""
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
    """Return whether a function succeeds in a child process: a change of namespace or user id cannot be undone."""
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
    # Read the ids first: inside the namespace they are 65534 until the maps are written.
    uid_map, gid_map = f"{account.pw_uid} {os.geteuid()} 1", f"{account.pw_gid} {os.getegid()} 1"
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    # The kernel requires an unprivileged process to deny setgroups before it writes a gid_map.
    for name, text in (("setgroups", "deny"), ("gid_map", gid_map), ("uid_map", uid_map)):
        Path("/proc/self", name).write_text(text, encoding="ascii")


def _become(account: pwd.struct_passwd, needed: Iterable[Path], *, keep_access: bool = False) -> None:
    """Switch to the user; raise an OSError if it cannot read the needed paths."""
    if keep_access:
        # Otherwise the kernel drops all capabilities when the user changes, and access(2) ignores them except for root.
        _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
        _make_inheritable(CAP_DAC_OVERRIDE)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    if keep_access:
        # Only ambient capabilities survive the exec.
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
        # The parent ended before the setting was made, so there will be no signal.
        raise SystemExit("the process that started this one has ended")


if __name__ == "__main__":
    main(sys.argv[1:])
