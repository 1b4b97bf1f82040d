"""What every probe is made of: a registry, raw system calls, and a main that runs each probe in a child.

A probe tries one thing that a sandbox forbids and answers in one word: `OK` when it could, the name of the
errno when it could not, the name of the signal that killed it, or the fact that was found. It says nothing
about what is right: the tables in tests/hostile/ do, for inside a sandbox and for outside of one.

Run as `python3 probe.py MODULE...`; prints one JSON object on each line: {"name": ..., "result": ...}.
"""
import ctypes
import errno
import importlib
import json
import os
import platform
import signal
import sys
from typing import Callable, Dict

PROBES: Dict[str, Callable[[], str]] = {}
SECONDS = 20

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

# Numbers on x86-64 and arm64; from 424 on they are the same everywhere.
NUMBERS = {
    "accept4": (288, 242), "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171),
    "bpf": (321, 280), "chroot": (161, 51), "clock_adjtime": (305, 266), "clock_settime": (227, 112),
    "clone": (56, 220), "clone3": (435, 435), "delete_module": (176, 106), "fanotify_init": (300, 262),
    "finit_module": (313, 273), "fsconfig": (431, 431), "fsmount": (432, 432), "fsopen": (430, 430),
    "fspick": (433, 433), "get_mempolicy": (239, 236), "init_module": (175, 105),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "io_uring_setup": (425, 425),
    "ioperm": (173, None), "iopl": (172, None), "io_setup": (206, 0), "ioprio_set": (251, 30), "kcmp": (312, 272),
    "kexec_file_load": (320, 294), "kexec_load": (246, 104), "keyctl": (250, 219),
    "landlock_create_ruleset": (444, 444), "listmount": (458, 458), "lookup_dcookie": (212, 18),
    "mbind": (237, 235), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "migrate_pages": (256, 238), "modify_ldt": (154, None), "mount": (165, 40),
    "mount_setattr": (442, 442), "move_mount": (429, 429), "move_pages": (279, 239),
    "mq_open": (240, 180), "mseal": (462, 462), "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42), "open_by_handle_at": (304, 265), "open_tree": (428, 428),
    "open_tree_attr": (467, 467), "perf_event_open": (298, 241), "personality": (135, 92),
    "pidfd_getfd": (438, 438), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "reboot": (169, 142), "renameat2": (316, 276),
    "request_key": (249, 218), "sched_setattr": (314, 274), "seccomp": (317, 277),
    "set_mempolicy": (238, 237), "setdomainname": (171, 162), "sethostname": (170, 161),
    "setns": (308, 268), "setsockopt": (54, 208), "settimeofday": (164, 170), "statmount": (457, 457), "swapoff": (168, 225),
    "swapon": (167, 224), "syncfs": (306, 267), "syslog": (103, 116), "umount2": (166, 39), "unshare": (272, 97),
    "userfaultfd": (323, 282), "vhangup": (153, 58), "vmsplice": (278, 75),
}


def probe(function: Callable[[], str]) -> Callable[[], str]:
    """Registers a probe under the name of its function."""
    PROBES[function.__name__] = function
    return function


def register(name: str, function: Callable[[], str]) -> None:
    PROBES[name] = function


def number(name: str) -> int:
    """The number of a system call here; -1, which no kernel has, where the architecture lacks it."""
    column = 0 if platform.machine() == "x86_64" else 1
    return NUMBERS[name][column] if NUMBERS[name][column] is not None else -1


def raw(name: str, *arguments: object) -> int:
    """Calls by number; raises OSError."""
    return by_number(number(name), *arguments)


def by_number(which: int, *arguments: object) -> int:
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(which), *[as_c(argument) for argument in arguments])
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def as_c(argument: object) -> object:
    if isinstance(argument, str):
        return ctypes.c_char_p(argument.encode())
    if isinstance(argument, bytes):
        return ctypes.c_char_p(argument)
    if isinstance(argument, int):
        return ctypes.c_long(argument)
    return argument


def word(action: Callable[[], object]) -> str:
    """`OK`, or the errno's name."""
    try:
        action()
    except OSError as error:
        return name_of(error)
    return "OK"


def name_of(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, f"errno-{error.errno}")


def call(name: str, *arguments: object) -> str:
    return word(lambda: raw(name, *arguments))


def run_one(function: Callable[[], str]) -> str:
    """Runs a probe in a child of its own, so that none can spoil the next."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        signal.alarm(SECONDS)
        os.write(writer, answer(function).encode()[:60000])
        os._exit(0)
    os.close(writer)
    text = read_all(reader)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return text


def answer(function: Callable[[], str]) -> str:
    try:
        return function()
    except OSError as error:
        return name_of(error)
    except BaseException as error:  # a probe that is itself wrong must be seen
        return f"broken: {type(error).__name__}: {error}"


def read_all(descriptor: int) -> str:
    parts = []
    while part := os.read(descriptor, 65536):
        parts.append(part)
    os.close(descriptor)
    return b"".join(parts).decode(errors="replace")


def only_in_scratch() -> None:
    """What these programs do, they may do as the first process of a namespace of their own, and nowhere else."""
    if os.getpid() != 1:
        sys.exit("This program does harm. Run it through tests/hostile/programs.ts.")


def main() -> None:
    only_in_scratch()
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    sys.modules["probe"] = sys.modules["__main__"]
    for module in sys.argv[1:]:
        importlib.import_module(module)
    for name, function in list(PROBES.items()):
        print(json.dumps({"name": name, "result": run_one(function)}), flush=True)


if __name__ == "__main__":
    main()
