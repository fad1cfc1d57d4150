"""Become another program, once the parent has written down who we are.

Run by its path in a bare interpreter (``python -I -S launch.py '<json>'``), because work between
fork and exec is not safe in a process with threads. It waits on standard input for one byte: the
parent sends it after it has recorded our pid, and the end of the file without it means that the
parent died; so no process ever runs that nobody knows of. Then it gives up root, ties itself to
its parent's life, and replaces itself, keeping pid and creation time.

The JSON object holds ``command``, and optionally ``account`` ([uid, gid]), ``detach`` (become
nobody's child; the new pid is printed), ``dies_with`` (the parent's pid, Linux only).
"""

import ctypes
import json
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Do it."""
    plan = json.loads(sys.argv[1])
    if plan.get("detach") and (pid := os.fork()):
        os.write(1, b"%d\n" % pid)
        os._exit(0)
    if plan.get("detach"):
        os.setsid()
    if os.read(0, 1) != b"!":
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    if account := plan.get("account"):
        user, group = account
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    if (parent := plan.get("dies_with")) and sys.platform == "linux":
        # After setuid, which clears it. The parent may already have died: then nobody tells us.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(0)
    try:
        os.execvpe(plan["command"][0], plan["command"], os.environ)  # noqa: S606 - no shell
    except OSError as problem:
        sys.exit(f"{plan['command'][0]} can't be started: {problem.strerror}.")


if __name__ == "__main__":
    main()
