"""Mounts, namespaces, and ways out of a root directory."""
import ctypes
import os
import signal
import tempfile
import threading

from probe import call, libc, number, probe, raw, register, word

NULL = ctypes.c_void_p(None)
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
NAMESPACES = {
    "user": 0x10000000, "mount": 0x00020000, "net": 0x40000000, "pid": 0x20000000,
    "ipc": 0x08000000, "uts": 0x04000000, "cgroup": 0x02000000, "time": 0x00000080,
}


def scratch() -> str:
    return tempfile.mkdtemp(dir="/tmp")


def mount_of(kind: str, options: str = "") -> str:
    at = scratch()
    result = call("mount", "none", at, kind, 0, options)
    if result == "OK":
        call("umount2", at, 2)
    os.rmdir(at)
    return result


for kind in ("tmpfs", "proc", "sysfs", "mqueue", "cgroup2"):
    register(f"mount_{kind}", lambda kind=kind: mount_of(kind))


@probe
def mount_cgroup_v1() -> str:
    """A hierarchy that exists; `cpu`, which version 2 holds, where there is none of version 1."""
    fields = [line.split(":") for line in open("/proc/self/cgroup").read().split()]
    old = [controllers for _, controllers, _ in fields if controllers]
    options = old[0] if old else "cpu"
    return mount_of("cgroup", f"none,{options}" if options.startswith("name=") else options)


@probe
def mount_overlay() -> str:
    lower, upper, work = scratch(), scratch(), scratch()
    return mount_of("overlay", f"lowerdir={lower}:/etc")


@probe
def mount_bind() -> str:
    at = scratch()
    result = call("mount", "/etc", at, NULL, MS_BIND, NULL)
    if result == "OK":
        call("umount2", at, 2)
    return result


@probe
def remount_writable() -> str:
    """Of a read-only bind that only this probe sees outside; of the root inside."""
    target = "/" if os.getuid() != 0 else read_only_bind()
    result = call("mount", NULL, target, NULL, MS_REMOUNT | MS_BIND, NULL)
    if target != "/":
        call("umount2", target, 2)
    return result


def read_only_bind() -> str:
    at = scratch()
    raw("mount", "/etc", at, NULL, MS_BIND, NULL)
    raw("mount", NULL, at, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL)
    return at


@probe
def umount_proc() -> str:
    if os.getuid() == 0:
        raw("unshare", NAMESPACES["mount"])
        raw("mount", "none", "/proc", NULL, 1 << 18 | 16384, NULL)
    return call("umount2", "/proc", 2)


@probe
def fsopen_tmpfs() -> str:
    return call("fsopen", "tmpfs", 0)


@probe
def open_tree_clone() -> str:
    return call("open_tree", -100, "/etc", 1)


# With descriptors and flags that cannot be right: who may call them gets another error than who may not.
register("move_mount", lambda: call("move_mount", -1, "", -1, "", 4))
register("fsconfig", lambda: call("fsconfig", -1, 6, NULL, NULL, 0))
register("fsmount", lambda: call("fsmount", -1, 0, 0))
register("fspick", lambda: call("fspick", -1, "none", 0))
register("mount_setattr", lambda: call("mount_setattr", -1, "none", 0, NULL, 0))
register("pivot_root", lambda: call("pivot_root", "/nowhere", "/nowhere"))


@probe
def chroot() -> str:
    return call("chroot", scratch())


@probe
def chroot_escape() -> str:
    """The classic: keep a directory open, chroot below it, climb out."""
    before = os.stat("/").st_ino, os.stat("/").st_dev
    jail = scratch()
    outer = os.open("/", os.O_RDONLY)
    os.chroot(jail)
    os.fchdir(outer)
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    return "OK" if (os.stat("/").st_ino, os.stat("/").st_dev) == before else "inside"


for name, flag in NAMESPACES.items():
    register(f"unshare_{name}", lambda flag=flag: call("unshare", flag))


def clone(flag: int) -> str:
    """clone(2) with SIGCHLD, as fork does it, plus one namespace."""
    child = raw("clone", flag | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        libc._exit(0)
    os.waitpid(child, 0)
    return "OK"


for name, flag in NAMESPACES.items():
    if name != "time":  # clone(2) has another meaning for that bit
        register(f"clone_{name}", lambda flag=flag: clone(flag))


def clone3(flag: int) -> str:
    arguments = (ctypes.c_uint64 * 8)(flag, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    child = raw("clone3", arguments, ctypes.sizeof(arguments))
    if child == 0:
        libc._exit(0)
    os.waitpid(child, 0)
    return "OK"


register("clone3_user", lambda: clone3(NAMESPACES["user"]))
register("clone3_plain", lambda: clone3(0))


def setns(name: str) -> str:
    descriptor = os.open(f"/proc/self/ns/{name}", os.O_RDONLY)
    return call("setns", descriptor, 0)


register("setns_uts", lambda: setns("uts"))
register("setns_net", lambda: setns("net"))


@probe
def setns_of_pid_1() -> str:
    return call("setns", raw("pidfd_open", 1, 0), NAMESPACES["uts"])


@probe
def user_namespace_maps() -> str:
    """A second look at the same thing, by what a program needs afterwards."""
    raw("unshare", NAMESPACES["user"])
    return word(lambda: open("/proc/self/setgroups", "w").write("deny"))


@probe
def threads_still_work() -> str:
    """The filter on clone must not hit threads."""
    seen = []
    thread = threading.Thread(target=lambda: seen.append(1))
    thread.start()
    thread.join()
    return "OK" if seen else "lost"
