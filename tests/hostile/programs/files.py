"""What can be written, read or made: on every mount, below /proc and /sys, in /dev, in the image."""
import ctypes
import os
import signal
import stat
import subprocess
import tempfile

from probe import call, probe, raw, register, word

O_TMPFILE = 0x410000
NULL = ctypes.c_void_p(None)
AS_ROOT = os.getuid() == 0


def mounts() -> list:
    """(mount point, file system, options) of every mount, in order."""
    rows = []
    for line in open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape"):
        left, right = line.split(" - ")
        fields = left.split()
        rows.append((fields[4].encode().decode("unicode_escape"), right.split()[0], fields[5].split(",")))
    return rows


def can_write(path: str) -> bool:
    """Really opens for writing, without a trace: an unnamed file in a directory, or the file itself."""
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            os.close(os.open(path, O_TMPFILE | os.O_WRONLY, 0o600))
        elif stat.S_ISREG(kind):
            os.close(os.open(path, os.O_WRONLY))
        else:
            return False
    except OSError as error:
        return error.errno == 95 and can_make(path)  # EOPNOTSUPP: no unnamed files here
    return True


def can_make(directory: str) -> bool:
    try:
        os.rmdir(tempfile.mkdtemp(dir=directory))
    except OSError:
        return False
    return True


@probe
def writable_mounts() -> str:
    return ",".join(sorted({at for at, _, _ in mounts() if can_write(at)}))


@probe
def writable_mounts_with_suid_or_devices() -> str:
    """A file system that can be written must be nosuid and nodev."""
    return ",".join(
        sorted({at for at, _, options in mounts() if can_write(at) and not {"nosuid", "nodev"} <= set(options)})
    )


@probe
def file_systems() -> str:
    """The kinds of the mounts; no cgroup, debug, tracing, bpf or security file system."""
    return ",".join(sorted({kind for _, kind, _ in mounts()}))


def writable_below(top: str, skip: object = None) -> str:
    """How many files below can be opened for writing; the first is named."""
    found = []
    for at, directories, names in os.walk(top):
        directories[:] = [name for name in directories if not (skip and skip(at, name))]
        for name in names:
            path = os.path.join(at, name)
            if not os.path.islink(path) and opens_for_writing(path):
                found.append(path)
    return f"{len(found)} {found[0]}" if found else "0"


def opens_for_writing(path: str) -> bool:
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return False
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


register("writable_below_proc_sys", lambda: writable_below("/proc/sys"))
register("writable_below_sys", lambda: writable_below("/sys", lambda at, name: at.count("/") > 4))
register(
    "writable_below_proc",
    lambda: writable_below("/proc", lambda at, name: at == "/proc" and (name.isdigit() or name == "sys")),
)

SYSCTLS = (
    "kernel/core_pattern", "kernel/modprobe", "kernel/sysrq", "kernel/randomize_va_space", "kernel/pid_max",
    "kernel/ns_last_pid", "kernel/threads-max", "vm/overcommit_memory", "vm/drop_caches", "vm/max_map_count",
    "fs/file-max", "fs/suid_dumpable", "fs/protected_symlinks", "kernel/domainname",
)
for name in SYSCTLS:
    register(f"write_{name}", lambda name=name: word(lambda: os.close(os.open(f"/proc/sys/{name}", os.O_WRONLY))))


@probe
def write_sysrq_trigger() -> str:
    return "null-device" if is_null("/proc/sysrq-trigger") else word(
        lambda: os.close(os.open("/proc/sysrq-trigger", os.O_WRONLY))
    )


def is_null(path: str) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3)


def masked(path: str) -> str:
    """How a path that tells of the host looks: by opening and reading, not by its mount."""
    try:
        if os.path.isdir(path):
            return "entries" if os.listdir(path) else "empty"
        with open(path, "rb", buffering=0) as file:
            return "readable" if file.read(16) else "empty"
    except FileNotFoundError:
        return "absent"
    except OSError as error:
        return "denied" if error.errno in (1, 13) else word(lambda: os.close(os.open(path, os.O_RDONLY)))


MASKED = (
    "/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/timer_list", "/proc/sched_debug", "/proc/kmsg",
    "/proc/kallsyms", "/proc/latency_stats", "/proc/timer_stats", "/proc/acpi", "/proc/scsi", "/proc/asound",
    "/proc/interrupts", "/proc/kpagecount", "/proc/kpageflags", "/proc/vmallocinfo", "/proc/slabinfo",
    "/proc/iomem", "/proc/modules", "/proc/config.gz", "/proc/bus", "/proc/fs/ext4", "/proc/irq",
    "/proc/locks", "/proc/pressure", "/proc/diskstats", "/proc/partitions", "/proc/swaps", "/proc/cmdline", "/proc/version",
    "/sys/firmware", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel/security", "/sys/fs/bpf",
    "/sys/fs/cgroup", "/sys/module", "/sys/class/dmi", "/sys/class/net", "/sys/block", "/sys/devices/virtual/dmi",
    "/sys/devices/virtual/powercap", "/sys/fs/ext4", "/sys/kernel/notes", "/sys/kernel/vmcoreinfo",
)
for path in MASKED:
    register(f"see_{path}", lambda path=path: masked(path))


@probe
def devices() -> str:
    """Every device node below /dev."""
    found = []
    for at, _, names in os.walk("/dev"):
        found += [os.path.join(at, name) for name in names]
    nodes = [path for path in found if is_device(path)]
    return ",".join(sorted(path[5:] for path in nodes))


def is_device(path: str) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


@probe
def devices_elsewhere() -> str:
    """Device nodes in the image outside of /dev; outside, in the scratch directory alone."""
    found = []
    for at, directories, names in os.walk("/mnt" if AS_ROOT else "/"):
        directories[:] = [name for name in directories if os.path.join(at, name) not in ("/proc", "/sys", "/dev")]
        found += [os.path.join(at, name) for name in names if is_device(os.path.join(at, name))]
    return ",".join(found[:10])


def mknod(kind: int, major: int, minor: int) -> str:
    path = tempfile.mktemp(dir="/tmp")
    result = word(lambda: os.mknod(path, kind | 0o600, os.makedev(major, minor)))
    if result == "OK":
        os.unlink(path)
    return result


register("mknod_mem", lambda: mknod(stat.S_IFCHR, 1, 1))
register("mknod_null", lambda: mknod(stat.S_IFCHR, 1, 3))
register("mknod_disk", lambda: mknod(stat.S_IFBLK, 8, 0))
register("mkfifo", lambda: mknod(stat.S_IFIFO, 0, 0))

for name in ("mem", "kmsg", "kvm", "fuse", "port", "sda", "vda", "loop-control", "net/tun", "ptmx", "console",
             "hwrng", "vhost-net", "vhost-vsock", "mapper/control", "vsock", "userfaultfd", "nvram", "rtc0"):
    register(f"open_/dev/{name}", lambda name=name: word(lambda: os.close(os.open(f"/dev/{name}", os.O_RDONLY))))


@probe
def whiteout() -> str:
    """renameat2 with RENAME_WHITEOUT leaves a character device 0:0, which no one can open."""
    directory = tempfile.mkdtemp(dir="/tmp")
    open(f"{directory}/a", "w").close()
    result = call("renameat2", -100, f"{directory}/a", -100, f"{directory}/b", 4)
    if result != "OK":
        return result
    return "OK" if not opens(f"{directory}/a") else "opens"


def opens(path: str) -> bool:
    return word(lambda: os.close(os.open(path, os.O_RDONLY))) == "OK"


# The image's own files.
SHELL = os.path.realpath("/bin/sh")
EXECUTABLE = os.path.realpath("/proc/self/exe")
IMAGE_FILES = {
    "etc_passwd": "/etc/passwd", "python": EXECUTABLE, "shell": SHELL,
    "by_proc_self_root": "/proc/self/root/etc/passwd", "by_proc_1_root": "/proc/1/root/etc/passwd",
    "by_proc_1_cwd": "/proc/1/cwd/../etc/passwd", "exe_of_self": "/proc/self/exe", "exe_of_1": "/proc/1/exe",
}
for name, path in IMAGE_FILES.items():
    register(f"write_{name}", lambda path=path: word(lambda: os.close(os.open(path, os.O_WRONLY | os.O_APPEND))))


def in_place(action: object) -> str:
    """Outside, on a copy in a scratch directory; inside, on the image itself."""
    path = SHELL
    if AS_ROOT:
        path = os.path.join(tempfile.mkdtemp(dir="/tmp"), "sh")
        subprocess.run(["cp", SHELL, path], check=True)
    return word(lambda: action(path))


register("unlink_image_file", lambda: in_place(os.unlink))
register("chmod_image_file", lambda: in_place(lambda path: os.chmod(path, 0o777)))
register("chown_image_file", lambda: in_place(lambda path: os.chown(path, os.getuid(), os.getgid())))
register("rename_image_file", lambda: in_place(lambda path: os.rename(path, path + "2")))
register("touch_image_file", lambda: in_place(lambda path: os.utime(path)))
register("xattr_image_file", lambda: in_place(lambda path: os.setxattr(path, "trusted.x", b"1")))
register("link_beside_image_file", lambda: in_place(lambda path: os.link(path, path + "2")))
register("hard_link_of_image_file", lambda: in_place(hard_link))


def hard_link(path: str) -> None:
    at = os.path.dirname(path) if AS_ROOT else "/work"
    os.link(path, os.path.join(at, "linked"))


@probe
def set_capability_on_file() -> str:
    """CAP_SETUID as a file capability."""
    path = os.path.join(tempfile.mkdtemp(dir="/tmp"), "sh")
    subprocess.run(["cp", SHELL, path], check=True)
    value = bytes.fromhex("0100000280000000000000000000000000000000")
    return word(lambda: os.setxattr(path, "security.capability", value))


@probe
def copy_with_setuid() -> str:
    """A shell with u+s, owned by ourselves: may be made, gives nothing (as root outside: gives root)."""
    path = os.path.join(tempfile.mkdtemp(dir="/tmp" if AS_ROOT else "/work"), "id")
    subprocess.run(["cp", "/usr/bin/id", path], check=True)
    os.chmod(path, 0o6755)
    os.chmod(os.path.dirname(path), 0o755)
    if AS_ROOT:
        os.setgid(65534)
        os.setuid(65534)
    shown = subprocess.run([path], capture_output=True, text=True).stdout
    return "gained" if "euid=" in shown else "nothing"


@probe
def setuid_programs_of_the_image() -> str:
    """Whether the kernel gives privileges to a set-user-id program: the C library then ignores LD_SHOW_AUXV."""
    if AS_ROOT:
        os.setgid(65534)
        os.setuid(65534)
    environment = {"LD_SHOW_AUXV": "1", "PATH": "/usr/bin:/bin"}
    answers = set()
    for name in ("su", "mount", "passwd", "newgrp", "chsh", "umount", "gpasswd"):
        path = f"/usr/bin/{name}"
        if not os.path.exists(path) or not os.stat(path).st_mode & stat.S_ISUID:
            continue
        done = subprocess.run([path, "--version"], env=environment, capture_output=True, text=True, timeout=10)
        answers.add("nothing" if "AT_SECURE:            0" in done.stdout else "gained")
    return ",".join(sorted(answers)) or "none"


# Quotas: the errno at the end of what /tmp may hold.
@probe
def fallocate_beyond() -> str:
    with tempfile.TemporaryFile(dir="/tmp" if AS_ROOT else "/work") as file:
        return word(lambda: os.posix_fallocate(file.fileno(), 0, 1 << 29))


@probe
def sparse_file() -> str:
    """Its size is only a number, which costs nothing."""
    with tempfile.TemporaryFile(dir="/tmp") as file:
        return word(lambda: os.ftruncate(file.fileno(), 1 << 40))


def names_in(directory: str) -> str:
    """Odd names that a file may have."""
    at = tempfile.mkdtemp(dir=directory)
    for name in (b"-rf", b"a\nb", b"\xff\xfe", b"$(id)", b"\x1b[2J", b"x" * 255, b" ", b"*", b"\\", b"'\""):
        os.close(os.open(os.path.join(at.encode(), name), os.O_CREAT | os.O_WRONLY, 0o600))
    return str(len(os.listdir(at)))


register("odd_names", lambda: names_in("/tmp"))


@probe
def cgroup_files_found() -> str:
    """Any file of a control group that could be opened for writing."""
    found = []
    for at, kind, _ in mounts():
        if kind.startswith("cgroup"):
            found += [f"{at}/{name}" for name in ("cgroup.procs", "release_agent") if opens_for_writing(f"{at}/{name}")]
    return str(len(found))


@probe
def cgroup_path_shown() -> str:
    """What /proc/self/cgroup tells: with a namespace of its own, nothing of the host's tree."""
    paths = {line.rstrip("\n").split(":", 2)[2] for line in open("/proc/self/cgroup")}
    return ",".join(sorted(paths))
