"""Who the program is: ids, capabilities, flags, descriptors, environment, and what it can raise."""
import ctypes
import fcntl
import mmap
import os
import resource
import signal
import stat
import struct

from probe import call, libc, probe, raw, register, word

NULL = ctypes.c_void_p(None)


def status(key: str) -> str:
    for line in open("/proc/self/status"):
        if line.startswith(key + ":"):
            return line.split(":", 1)[1].strip()
    return "absent"


for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
    register(f"status_{key}", lambda key=key: status(key).lstrip("0") or "0")
register("status_NoNewPrivs", lambda: status("NoNewPrivs"))
register("status_Seccomp", lambda: status("Seccomp"))


@probe
def ids() -> str:
    """Real, effective and saved ids and groups: none is 0."""
    every = set(os.getresuid()) | set(os.getresgid()) | set(os.getgroups())
    return "root" if 0 in every else "unprivileged"


register("setuid_0", lambda: word(lambda: os.setuid(0)))
register("setgid_0", lambda: word(lambda: os.setgid(0)))
register("setresuid_other", lambda: word(lambda: os.setresuid(12345, 12345, 12345)))
register("setgroups_0", lambda: word(lambda: os.setgroups([0])))
register("setfsuid_0", lambda: str(libc.setfsuid(0) * 0 + int(libc.setfsuid(-1) == 0)))
register("chown_to_root", lambda: word(lambda: os.chown(temporary(), 0, 0)))
register("capset_all", lambda: capset())
register("ambient_raise", lambda: word(lambda: check(libc.prctl(47, 2, 21, 0, 0))))
register("no_new_privs_off", lambda: word(lambda: check(libc.prctl(38, 0, 0, 0, 0))))
register("securebits_set", lambda: word(lambda: check(libc.prctl(28, 1, 0, 0, 0))))


def temporary() -> str:
    path = f"/tmp/file-{os.getpid()}"
    open(path, "w").close()
    return path


def check(result: int) -> None:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def capset() -> str:
    """Asks for all that the kernel knows; outside, for what the probe has already."""
    header = struct.pack("=II", 0x20080522, 0)
    wanted = (1 << 41) - 1
    if os.getuid() == 0:
        wanted = int(status("CapPrm"), 16)
    low, high = wanted & 0xFFFFFFFF, wanted >> 32
    data = struct.pack("=IIIIII", low, low, 0, high, high, 0)
    return word(lambda: check(libc.capset(header, data)))


# Descriptors and environment.
def open_descriptors() -> list:
    """Those of this process, without the one that lists them."""
    return [name for name in os.listdir("/proc/self/fd") if is_open(name)]


def is_open(name: str) -> bool:
    try:
        os.fstat(int(name))
    except OSError:
        return False
    return True


AT_START = open_descriptors()
KINDS_AT_START = {os.readlink(f"/proc/self/fd/{name}").split(":")[0] for name in AT_START}


@probe
def descriptors() -> str:
    """What this program found open when it began."""
    return ",".join(sorted(AT_START, key=int))


@probe
def descriptor_kinds() -> str:
    """0, 1 and 2 are pipes, never files, directories or devices of the host."""
    return ",".join(sorted(KINDS_AT_START))


@probe
def processes() -> str:
    """Names of all visible processes."""
    names = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with open(f"/proc/{pid}/comm") as file:
            names.add(file.read().strip())
    return ",".join(sorted(names))


@probe
def session() -> str:
    """Pid 1 leads its own session and group: no terminal of ours is behind it."""
    fields = open("/proc/1/stat").read().rsplit(")", 1)[1].split()
    return f"tty={fields[4]}"


@probe
def umask_and_cwd() -> str:
    before = os.umask(0o22)
    return f"{before:o} {os.readlink('/proc/1/cwd')}"


@probe
def signals_blocked_or_ignored() -> str:
    """No mask and no ignored signal comes along (SIGPIPE and SIGXFSZ are Python's own)."""
    blocked = int(status_of_1("SigBlk"), 16)
    ignored = int(status_of_1("SigIgn"), 16) & ~((1 << 12) | (1 << 24))
    return f"{blocked} {ignored}"


def status_of_1(key: str) -> str:
    for line in open("/proc/1/status"):
        if line.startswith(key + ":"):
            return line.split(":", 1)[1].strip()
    return "0"


# Limits and priorities.
def raise_limit(which: int, soft: int, hard: int) -> str:
    try:
        resource.setrlimit(which, (soft, hard))
    except ValueError as error:  # how Python words EPERM
        return "EPERM" if "not allowed" in str(error) else str(error)
    return "OK"


register("core_limit", lambda: str(resource.getrlimit(resource.RLIMIT_CORE)))
register("raise_core", lambda: raise_limit(resource.RLIMIT_CORE, 1 << 20, 1 << 20))
register("raise_nofile", lambda: raise_limit(resource.RLIMIT_NOFILE, 3000, 3000))
register("nice_up", lambda: word(lambda: os.setpriority(os.PRIO_PROCESS, 0, -20)))
register("nice_down", lambda: word(lambda: os.setpriority(os.PRIO_PROCESS, 0, 19)))
register("sched_fifo", lambda: word(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))))
register("sched_rr", lambda: word(lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))))
register("sched_deadline", lambda: deadline())
register("ioprio_realtime", lambda: call("ioprio_set", 1, 0, 1 << 13))
register("oom_score_lower", lambda: word(lambda: write_text("/proc/self/oom_score_adj", "-1000")))
register("mlock_all", lambda: lock_all())
register("timer_slack_of_1", lambda: word(lambda: write_text("/proc/1/timerslack_ns", "1")))


def deadline() -> str:
    """1 ms of every 100 ms, by sched_setattr."""
    attributes = struct.pack("=IIQiIQQQ", 48, 6, 0, 0, 0, 1_000_000, 100_000_000, 100_000_000)
    return call("sched_setattr", 0, attributes, 0)


def write_text(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def lock_all() -> str:
    area = mmap.mmap(-1, 64 << 20)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    return word(lambda: check(libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(64 << 20))))


@probe
def big_reservation() -> str:
    """64 GiB of addresses without touching them, as JIT compilers do: must work."""
    # PROT_NONE first, as they do; with MAP_NORESERVE
    libc.mmap.restype = ctypes.c_void_p
    address = libc.mmap(None, ctypes.c_size_t(64 << 30), 3, 0x4022, -1, ctypes.c_long(0))
    return "OK" if address not in (None, ctypes.c_void_p(-1).value) else "refused"


@probe
def huge_pages_by_mmap() -> str:
    """From the pool that an operator reserved: counted nowhere without a controller of its own."""
    libc.mmap.restype = ctypes.c_void_p
    ctypes.set_errno(0)
    libc.mmap(None, ctypes.c_size_t(2 << 20), 3, 0x40022, -1, ctypes.c_long(0))
    return word(lambda: check(-1)) if ctypes.get_errno() else "OK"


register("huge_pages_by_memfd", lambda: call("memfd_create", "x", 4))
register("huge_pages_by_shmget", lambda: word(lambda: check(libc.shmget(0, ctypes.c_size_t(2 << 20), 0o5600))))


@probe
def map_page_zero() -> str:
    """A page at address 0 turns kernel null dereferences into something better."""
    libc.mmap.restype = ctypes.c_void_p
    ctypes.set_errno(0)
    libc.mmap(ctypes.c_void_p(0), ctypes.c_size_t(4096), 3, 0x32, -1, ctypes.c_long(0))
    return word(lambda: check(-1)) if ctypes.get_errno() else "OK"


@probe
def remap_of_nothing() -> str:
    """mremap from a zero length: a second view of shared memory; of private memory EINVAL."""
    area = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc.mremap.restype = ctypes.c_void_p
    ctypes.set_errno(0)
    libc.mremap(ctypes.c_void_p(address), ctypes.c_size_t(0), ctypes.c_size_t(4096), 1)
    return word(lambda: check(-1)) if ctypes.get_errno() else "OK"


@probe
def executable_memory() -> str:
    """JIT compilers need it: a documented freedom."""
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    return "OK"


@probe
def memory_of_processes_of_root() -> str:
    """/proc/1/mem of a process that is ours inside is ours; the host's first process is not to be seen."""
    with open("/proc/1/cmdline", "rb") as file:
        return "own" if b"probe.py" in file.read() else "other"
