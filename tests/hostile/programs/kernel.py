"""System calls that change or watch the machine as a whole, or open up much of the kernel."""
import ctypes
import mmap
import os
import platform
import signal
import struct
import time

from probe import by_number, call, libc, number, probe, raw, register, word

NULL = ctypes.c_void_p(None)

# With arguments that cannot be right wherever a call that worked would do harm: who may call gets another
# error than who may not.
register("reboot", lambda: call("reboot", 1, 2, 3, NULL))
register("kexec_load", lambda: call("kexec_load", 0, 0, NULL, 0xFFFF))
register("kexec_file_load", lambda: call("kexec_file_load", -1, -1, 0, "", 0xFFFF))
register("swapon", lambda: call("swapon", "/nowhere", 0))
register("swapoff", lambda: call("swapoff", "/nowhere"))
register("acct", lambda: call("acct", "/nowhere/file"))
register("init_module", lambda: call("init_module", b"junk", 4, ""))
register("finit_module", lambda: call("finit_module", -1, "", 0))
register("delete_module", lambda: call("delete_module", "slipway_none", 2048))
register("quotactl", lambda: call("quotactl", 0x80000100, "/nowhere", 0, NULL))
register("quotactl_fd", lambda: call("quotactl_fd", -1, 0x80000100, 0, NULL))
register("lookup_dcookie", lambda: call("lookup_dcookie", 0, NULL, 0))
register("nfsservctl", lambda: call("nfsservctl", 0, NULL, NULL))
register("syslog", lambda: call("syslog", 10, NULL, 0))
register("iopl", lambda: call("iopl", 3))
register("ioperm", lambda: call("ioperm", 0x80, 1, 1))
register("fanotify_init", lambda: call("fanotify_init", 0, 0))
register("perf_event_open", lambda: perf_event())
register("io_uring_setup", lambda: call("io_uring_setup", 4, ctypes.create_string_buffer(256)))
register("io_uring_enter", lambda: call("io_uring_enter", -1, 0, 0, 0, NULL, 0))
register("io_uring_register", lambda: call("io_uring_register", -1, 0, NULL, 0))
# With a descriptor that is none: who answers 0 has not looked.
register("syncfs_without_descriptor", lambda: call("syncfs", -1))
register("io_setup", lambda: call("io_setup", 1000, ctypes.byref(ctypes.c_ulong(0))))
register("userfaultfd", lambda: call("userfaultfd", os.O_CLOEXEC))
register("bpf_map_create", lambda: bpf())
register("seccomp_query", lambda: call("seccomp", 2, 0, ctypes.byref(ctypes.c_uint32(0x7FFF0000))))
register("memfd_create", lambda: call("memfd_create", "x", 0))
register("vhangup", lambda: call("vhangup") if os.getuid() != 0 else in_own_session("vhangup"))
register("mbind", lambda: call("mbind", 0, 0, 99, NULL, 0, 0))
register("set_mempolicy", lambda: call("set_mempolicy", 99, NULL, 0))
register("migrate_pages", lambda: call("migrate_pages", os.getpid(), 1 << 30, NULL, NULL))
register("move_pages", lambda: call("move_pages", 0, 0, NULL, NULL, NULL, 0xFF))


def in_own_session(name: str) -> str:
    os.setsid()
    return call(name)


def perf_event() -> str:
    attributes = ctypes.create_string_buffer(128)
    struct.pack_into("=IIQ", attributes, 0, 1, 128, 0)  # software, cpu clock
    return call("perf_event_open", attributes, 0, -1, -1, 0)


def bpf() -> str:
    attributes = ctypes.create_string_buffer(128)
    struct.pack_into("=IIII", attributes, 0, 2, 4, 4, 1)  # array of one
    return call("bpf", 0, attributes, 128)


# Keys: the kernel's keyrings know no namespace for a uid that two sandboxes share.
register("add_key", lambda: call("add_key", "user", "slipway-probe", b"x", 1, -1))
register("request_key", lambda: call("request_key", "user", "slipway-none", NULL, 0))
register("keyctl_session", lambda: call("keyctl", 1, NULL))
register("keyctl_get_keyring", lambda: call("keyctl", 0, -4, 1))


# Time, names, and the rest of the machine.
class Timex(ctypes.Structure):
    _fields_ = [("modes", ctypes.c_uint), ("values", ctypes.c_long * 40)]


def set_same_frequency(*first: object) -> str:
    """Sets the clock's frequency to what it already is."""
    name = "clock_adjtime" if first else "adjtimex"
    current = Timex()
    raw(name, *first, ctypes.byref(current))
    current.modes = 2  # ADJ_FREQUENCY, which lies behind `offset`
    return call(name, *first, ctypes.byref(current))


register("adjtimex_set", lambda: set_same_frequency())
register("clock_adjtime_set", lambda: set_same_frequency(0))


@probe
def clock_settime() -> str:
    """To a time that is no time: EINVAL for who may call it."""
    return call("clock_settime", 0, (ctypes.c_long * 2)(0, -1))


@probe
def settimeofday() -> str:
    return call("settimeofday", (ctypes.c_long * 2)(0, -1), NULL)


@probe
def sethostname() -> str:
    return call("sethostname", "slipway-probe", 13)


@probe
def setdomainname() -> str:
    return call("setdomainname", "slipway-probe", 13)


# Other processes.
def with_child(action: object) -> str:
    """Runs action(pid) on a sleeping child of our own, the easiest victim."""
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        return action(child)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def copy_memory(name: str, pid: int) -> str:
    buffer = ctypes.create_string_buffer(b"slipway")
    vector = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 4)
    return call(name, pid, vector, 1, vector, 1, 0)


def proc_mem(pid: int) -> str:
    buffer = ctypes.create_string_buffer(b"slipway")
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(ctypes.addressof(buffer))
        return "OK" if memory.read(7) == b"slipway" else "other"


def getfd(pid: int) -> str:
    return call("pidfd_getfd", raw("pidfd_open", pid, 0), 0, 0)


register("ptrace_attach", lambda: with_child(lambda pid: call("ptrace", 16, pid, 0, 0)))
register("ptrace_seize", lambda: with_child(lambda pid: call("ptrace", 0x4206, pid, 0, 0)))
register("ptrace_traceme", lambda: call("ptrace", 0, 0, 0, 0))
register("process_vm_readv", lambda: with_child(lambda pid: copy_memory("process_vm_readv", pid)))
register("process_vm_writev", lambda: with_child(lambda pid: copy_memory("process_vm_writev", pid)))
register("pidfd_getfd", lambda: with_child(getfd))
register("kcmp", lambda: with_child(lambda pid: call("kcmp", os.getpid(), pid, 2, 0, 0)))
register("process_madvise", lambda: call("process_madvise", -1, NULL, 0, 0, 0))


# Files by handle: a way around every path (CVE-free, but needs CAP_DAC_READ_SEARCH).
@probe
def open_by_handle_at() -> str:
    handle = ctypes.create_string_buffer(136)
    struct.pack_into("=I", handle, 0, 128)
    raw("name_to_handle_at", -100, "/etc", handle, ctypes.byref(ctypes.c_int()), 0)
    directory = os.open("/etc", os.O_RDONLY)
    return call("open_by_handle_at", directory, handle, os.O_RDONLY)


# The machine's odd corners.
@probe
def personality_no_randomize() -> str:
    return call("personality", 0x0040000)


@probe
def personality_read_implies_exec() -> str:
    return call("personality", 0x0400000)


@probe
def modify_ldt() -> str:
    return call("modify_ldt", 0, ctypes.create_string_buffer(16), 16)


@probe
def x32_getpid() -> str:
    """A call of the x32 table, which a filter by names of the 64-bit table would let through."""
    return word(lambda: by_number(0x40000000 | 39))


def machine_code(code: bytes) -> int:
    area = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    area.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)()


@probe
def i386_getpid() -> str:
    """int 0x80 with eax = 20: getpid by the 32-bit table."""
    result = machine_code(b"\x53\xb8\x14\x00\x00\x00\xcd\x80\x5b\xc3")
    return "OK" if result == os.getpid() else f"returned {result}"


@probe
def i386_socket_vsock() -> str:
    """int 0x80 with eax = 359: a family that the 64-bit filter refuses."""
    code = b"\x53\xb8\x67\x01\x00\x00\xbb\x28\x00\x00\x00\xb9\x01\x00\x00\x00\x31\xd2\xcd\x80\x5b\xc3"
    result = machine_code(code)
    return "OK" if result >= 0 else os.strerror(-result)


@probe
def unknown_system_call() -> str:
    return word(lambda: by_number(999))


@probe
def all_system_calls_beyond_the_list() -> str:
    """Numbers 463 to 600 with arguments that cannot be right: the names of all errors that came."""
    seen = set()
    for which in range(463, 600):
        seen.add(word(lambda: by_number(which, -1, -1, -1, -1, -1, -1)))
    return ",".join(sorted(seen))
