"""Run PostgreSQL's programs as an ordinary user, because they refuse to run as root.

Commands in a container often run as root. Switching to an unprivileged user is not enough: the checkout may be below a
directory that only root may enter, such as one that `mktemp -d` created. On Linux, util-linux's unshare(1) and
setpriv(1) change the identity and then execute the program, with the same process id:

1. For an ordinary user, the identity does not change.
2. For root, the program runs in a user namespace (user_namespaces(7)) with the id of an ordinary user. Outside the
   namespace it is still a process of root: its files belong to root, and it may enter root's directories. Signals work
   as usual. The same applies to a user id without a name, as in `docker run --user 12345`, because initdb needs a name.
3. If user namespaces are forbidden, as they are by Docker's default seccomp profile, root makes an ordinary user the
   owner of the data files and switches to that user. If the user cannot read the files or the program, the process
   keeps the single capability CAP_DAC_OVERRIDE (capabilities(7)), which root in a container has.

On Linux, the program also receives SIGINT when the thread that started it ends (PR_SET_PDEATHSIG, prctl(2)), so that a
killed supervisor leaves no orphan. Start the program from a thread that lives as long as the program should.
"""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NAMESPACE = ("unshare", "--user")
_SETPRIV = ("setpriv", "--pdeathsig=INT")
# Without no_setuid_fixup, access(2) ignores the capability of an ordinary user.
_KEEP_ACCESS = ("--securebits=+no_setuid_fixup", "--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override")
_ADVICE = (
    "run this as an ordinary user, or allow user namespaces (Docker: --security-opt seccomp=unconfined), "
    "or move the checkout to where every user can read it"
)


def prefix(program: Path, own: Sequence[Path]) -> list[str]:
    """Return the words to put before the program and its arguments, so that it runs as an ordinary user.

    Args:
        program: the path of the program.
        own: the files and directories that the program must own.

    Raises:
        PermissionError: the program cannot run as an ordinary user on this machine; the message has a fix.
    """
    has_name = any(account.pw_uid == os.geteuid() for account in pwd.getpwall())
    if os.geteuid() != 0 and has_name:
        return list(_SETPRIV) if shutil.which(_SETPRIV[0]) else []
    account = ordinary_user()
    if account is None:
        raise PermissionError(f"{program} needs an account other than root in /etc/passwd, and there is none")
    namespace = [*NAMESPACE, f"--map-user={account.pw_uid}", f"--map-group={account.pw_gid}"]
    if _succeeds([*namespace, *_SETPRIV, "true"]):
        return [*namespace, *_SETPRIV]
    if os.geteuid() != 0:
        raise PermissionError(f"{program} needs user id {os.geteuid()} to have a name in /etc/passwd")
    if sys.platform == "linux":
        for path in own:
            for each in (path, *path.rglob("*")):
                os.chown(each, account.pw_uid, account.pw_gid, follow_symlinks=False)
        switch = [*_SETPRIV, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        for command in (switch, [*switch, *_KEEP_ACCESS]):
            if _succeeds([*command, "ls", str(program), *map(str, own)]):
                return command
    raise PermissionError(f"{program} refuses to run as root, and {account.pw_name} cannot run it: {_ADVICE}")


def ordinary_user() -> pwd.struct_passwd | None:
    """Return the account `nobody`, or else any account other than root, or None if there is no other."""
    accounts = [account for account in pwd.getpwall() if account.pw_uid != 0]
    return next((a for a in accounts if a.pw_name == "nobody"), accounts[0] if accounts else None)


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
