"""Ways in which two sandboxes could meet. `leave` leaves something at every place and waits for its input to
end; `look` looks at every place; `both` does the two in one, the control. Prints JSON: {place: "met" | why not}.
"""
import ctypes
import fcntl
import json
import os
import select
import socket
import subprocess
import sys
import threading

from probe import name_of, only_in_scratch, raw

KEY = 0x51A9
NAME = "slipway-meeting"
# An image file, which is the same inode in every sandbox of that image; outside, a file of the scratch place.
SHARED = os.path.abspath(__file__) if os.getuid() == 0 else os.path.realpath("/bin/sh")
libc = ctypes.CDLL(None, use_errno=True)
kept: list = []


def check(result: int) -> int:
    if result == -1:
        raise OSError(ctypes.get_errno(), "call")
    return result


def serve(family: int, address: object) -> None:
    server = socket.socket(family, socket.SOCK_STREAM)
    server.bind(address)
    server.listen(8)
    kept.append(server)
    threading.Thread(target=lambda: [server.accept() for _ in range(8)], daemon=True).start()


def connect(family: int, address: object) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        client.connect(address)


def lock(kind: object) -> None:
    file = open(SHARED, "rb")
    kept.append(file)
    kind(file)


def found_locked(kind: object) -> None:
    """Met when somebody else has it."""
    try:
        lock(kind)
    except BlockingIOError:
        return
    raise OSError(2, "not locked")


def write(path: str) -> None:
    with open(path, "w") as file:
        file.write(NAME)


def read(path: str) -> None:
    with open(path) as file:
        file.read()


def add_key() -> None:
    raw("add_key", "user", NAME, b"x", 1, -4)  # the user's keyring


def find_key() -> None:
    key = raw("keyctl", 10, -4, "user", NAME, 0)
    if sys.argv[1] == "look" and os.getuid() == 0:
        raw("keyctl", 21, key)  # the control tidies up: this keyring is that of the host's root


def open_queue(create: bool) -> None:
    raw("mq_open", NAME, 0o102 if create else 2, 0o666, ctypes.c_void_p(None))


def watch() -> None:
    descriptor = check(libc.inotify_init1(os.O_NONBLOCK))
    check(libc.inotify_add_watch(descriptor, os.path.dirname(SHARED).encode(), 0x20))
    check(libc.inotify_add_watch(descriptor, SHARED.encode(), 0x20))
    kept.append(("watch", descriptor))


def noticed() -> bool:
    descriptor = next(item[1] for item in kept if isinstance(item, tuple) and item[0] == "watch")
    return bool(select.select([descriptor], [], [], 0)[0])


def shared_lock(file: object) -> None:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lease() -> None:
    file = open(SHARED, "rb")
    kept.append(file)
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)


PLACES = {
    "sysv_shared_memory": (lambda: check(libc.shmget(KEY, 4096, 0o1666)), lambda: check(libc.shmget(KEY, 0, 0))),
    "sysv_messages": (lambda: check(libc.msgget(KEY, 0o1666)), lambda: check(libc.msgget(KEY, 0))),
    "sysv_semaphores": (lambda: check(libc.semget(KEY, 1, 0o1666)), lambda: check(libc.semget(KEY, 0, 0))),
    "posix_messages": (lambda: open_queue(True), lambda: open_queue(False)),
    "abstract_socket": (lambda: serve(socket.AF_UNIX, "\0" + NAME), lambda: connect(socket.AF_UNIX, "\0" + NAME)),
    "path_socket": (lambda: serve(socket.AF_UNIX, f"/tmp/{NAME}.s"), lambda: connect(socket.AF_UNIX, f"/tmp/{NAME}.s")),
    "loopback": (lambda: serve(socket.AF_INET, ("127.0.0.1", 7777)), lambda: connect(socket.AF_INET, ("127.0.0.1", 7777))),
    "loopback_6": (lambda: serve(socket.AF_INET6, ("::1", 7776)), lambda: connect(socket.AF_INET6, ("::1", 7776))),
    "dev_shm": (lambda: write(f"/dev/shm/{NAME}"), lambda: read(f"/dev/shm/{NAME}")),
    "tmp": (lambda: write(f"/tmp/{NAME}"), lambda: read(f"/tmp/{NAME}")),
    "keyring": (add_key, find_key),
    "flock_on_image_file": (lambda: lock(shared_lock), lambda: found_locked(shared_lock)),
    "lease_on_image_file": (lease, lambda: found_write_refused()),
}


def found_write_refused() -> None:
    """A read lease shows only to who may open for writing, which nobody inside may."""
    descriptor = os.open(SHARED, os.O_WRONLY | os.O_NONBLOCK)
    os.close(descriptor)
    raise OSError(2, "no lease")


def leave() -> dict:
    return {place: outcome(actions[0], "left") for place, actions in PLACES.items()}


def look() -> dict:
    return {place: outcome(actions[1], "met") for place, actions in PLACES.items()}


def outcome(action: object, word: str) -> str:
    ctypes.set_errno(0)
    try:
        action()
    except OSError as error:
        return "met" if error.errno == 11 and word == "met" else name_of(error)
    return word


def main() -> None:
    if sys.argv[1] == "look":
        print(json.dumps(look()))
        return
    only_in_scratch()
    watch()
    print(json.dumps(leave()), flush=True)
    if sys.argv[1] == "both":
        subprocess.run([sys.executable, "-B", os.path.abspath(__file__), "look"], check=True)
    sys.stdin.read()
    print(json.dumps({"noticed_use_of_image_file": noticed()}))


if __name__ == "__main__":
    main()
