"""Find out whether a TCP port of this machine is free, and which process listens on it."""

import errno
import socket
from pathlib import Path

from devstack.postgres.server import free_port
from devstack.stack.services import ServiceError

_LISTENING = "0A"


def is_free(port: int) -> bool:
    """Return whether a server can listen on a port of 127.0.0.1.

    Raises:
        ServiceError: this user is not permitted to listen on the port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            if exc.errno == errno.EACCES:
                raise ServiceError(f"port {port} is not permitted") from exc
            return False
        return True


def require_free(port: int) -> None:
    """Raise an error if no server of this user can listen on a port.

    Raises:
        ServiceError: the port is taken, or this user is not permitted to listen on it. For a taken port, the message
            names the process, if it is known, and a free port.
    """
    if not is_free(port):
        free = next((each for each in range(port + 1, min(port + 100, 65536)) if is_free(each)), None) or free_port()
        raise ServiceError(f"port {port} is taken{holder(port)}; {free} is free")


def holder(port: int) -> str:
    """Return " by NAME (process PID, in FOLDER)" for the process that listens on a port, or "" if it is unknown.

    The arguments of the process are not shown, because they may contain secrets.
    """
    inodes = {f"socket:[{inode}]" for inode in _inodes(port)}
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        try:
            if inodes.isdisjoint(str(link.readlink()) for link in (process / "fd").iterdir()):
                continue
            name = (process / "comm").read_text(encoding="utf-8").strip()
            return f" by {name} (process {process.name}, in {(process / 'cwd').readlink()})"
        except OSError:
            continue  # the process has ended, or belongs to another user
    return ""


def _inodes(port: int) -> set[str]:
    """Return the inodes of the sockets that listen on the port, from proc_net_tcp(5)."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[1].endswith(f":{port:04X}") and fields[3] == _LISTENING:
                inodes.add(fields[9])
    return inodes
