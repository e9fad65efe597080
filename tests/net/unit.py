"""Runs a command as systemd would by a unit file, as far as that needs no systemd: as nobody, with
no capabilities, no new privileges and the unit's filter of system calls.
usage: unit.py UNIT COMMAND [ARGUMENTS]"""

import ctypes, os, re, shutil, subprocess, sys

NOBODY = 65534
KILL_PROCESS, ALLOW = 0x80000000, 0x7FFF0000  # SCMP_ACT_…
PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 38, 24
LAST_CAPABILITY = 40


def settings(path, name):
    return re.findall(rf"^{name}=(.*)$", open(path).read(), re.M)


def calls_of(name):
    """The calls of a set, those of the sets in it too; a call is itself."""
    if not name.startswith("@"):
        return {name}
    listed = subprocess.run(
        ["systemd-analyze", "--no-pager", "syscall-filter", name],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    words = [
        line.strip()
        for line in listed.splitlines()[1:]
        if line.startswith("    ") and not line.strip().startswith("#")
    ]
    return set().union(*(calls_of(word) for word in words))


def allowed(path):
    """Of an allow-list: the lines in their order, as systemd.exec(5) has it."""
    calls = calls_of("@default")
    for line in settings(path, "SystemCallFilter"):
        named = set().union(*(calls_of(word) for word in line.lstrip("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


def enter(calls):
    libc, seccomp = ctypes.CDLL(None, use_errno=True), ctypes.CDLL("libseccomp.so.2")
    if os.geteuid() == 0:
        for capability in range(LAST_CAPABILITY + 1):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(KILL_PROCESS)))
    for call in calls:
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:  # this machine has it
            assert seccomp.seccomp_rule_add(context, ctypes.c_uint32(ALLOW), number, 0) == 0, call
    assert seccomp.seccomp_load(context) == 0


def main(unit, *command):
    calls = allowed(unit)
    program = shutil.which(command[0])
    enter(calls)
    os.execv(program, command)


if __name__ == "__main__":
    main(*sys.argv[1:])
