"""Programs that use up what there is. `python3 bombs.py NAME [BOUND]`: with a bound they stop there and say so,
which is how they run outside of a sandbox; without one they go on until something stops them.

Each prints, as its last line, how far it came: `<count> <errno or "bound">`. With `hold` as last argument it then
keeps what it has until its input ends.
"""
import ctypes
import errno
import mmap
import os
import select
import signal
import socket
import sys
import threading
import time

from probe import only_in_scratch

MIB = 1 << 20
FOREVER = 1 << 62
kept: list = []


def report(count: int, why: str) -> None:
    print(f"{count} {why}", flush=True)


def repeat(action: object, bound: int) -> None:
    """Calls action(i) until it fails or the bound is reached; what it returns is kept."""
    for count in range(bound):
        try:
            kept.append(action(count))
        except OSError as error:
            return report(count, errno.errorcode.get(error.errno or 0, str(error)))
        except RuntimeError as error:  # how Python words EAGAIN of a thread
            return report(count, "EAGAIN" if "can't start new thread" in str(error) else str(error))
        except MemoryError:
            return report(count, "ENOMEM")
    report(bound, "bound")


def fork(bound: int) -> None:
    """Children that only wait."""
    repeat(lambda _: os.fork() or signal.pause(), bound)
    os.killpg(0, signal.SIGKILL) if bound == FOREVER and os.getpid() != 1 else end_children()


def end_children() -> None:
    for child in kept:
        os.kill(child, signal.SIGKILL)


def fork_forever(_: int) -> None:
    """The classic: every process forks for ever."""
    print("begun", flush=True)
    while True:
        try:
            os.fork()
        except OSError:
            pass


def zombies(bound: int) -> None:
    """Children that are dead and never waited for."""
    repeat(lambda _: os.fork() or os._exit(0), bound)


def threads(bound: int) -> None:
    stop = threading.Event()

    def one(_: int) -> object:
        thread = threading.Thread(target=stop.wait, daemon=True)
        thread.start()
        return thread

    repeat(one, bound)
    stop.set()


def touch(_: int) -> bytearray:
    area = bytearray(MIB)
    for at in range(0, MIB, 4096):
        area[at] = 1
    return area


def memory(bound: int) -> None:
    """One MiB after the other, every page touched."""
    repeat(touch, bound)


def memfd(bound: int) -> None:
    def one(_: int) -> int:
        descriptor = os.memfd_create("x")
        os.write(descriptor, bytes(MIB))
        return descriptor

    repeat(one, bound)


def shared_mapping(bound: int) -> None:
    def one(_: int) -> mmap.mmap:
        area = mmap.mmap(-1, MIB)
        area.write(bytes(MIB))
        return area

    repeat(one, bound)


def fill(directory: str, bound: int) -> None:
    path = os.path.join(directory, f"fill-{os.getpid()}")
    with open(path, "wb", buffering=0) as file:
        repeat(lambda _: write_all(file, bytes(MIB)), bound)
    if bound != FOREVER:
        os.unlink(path)


def write_all(file: object, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view):]


def files(directory: str, bound: int) -> None:
    """Empty files, until there are no inodes left."""
    at = os.path.join(directory, f"files-{os.getpid()}")
    os.mkdir(at)
    repeat(lambda count: os.close(os.open(f"{at}/{count}", os.O_CREAT | os.O_WRONLY)), bound)


def sysv_shm(bound: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p

    def one(_: int) -> None:
        identity = libc.shmget(0, ctypes.c_size_t(MIB), 0o1600)
        if identity == -1:
            raise OSError(ctypes.get_errno(), "shmget")
        address = libc.shmat(identity, None, 0)
        ctypes.memset(address, 1, MIB)
        libc.shmdt(ctypes.c_void_p(address))
        if bound != FOREVER:
            libc.shmctl(identity, 0, None)

    repeat(one, bound)


def pipes(bound: int) -> None:
    """Full pipes of 1 MiB, or as much as a pipe may hold."""
    import fcntl

    def one(_: int) -> tuple:
        reader, writer = os.pipe2(os.O_NONBLOCK)
        try:
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, MIB)
        except PermissionError:
            pass
        fill_descriptor(writer)
        return reader, writer

    repeat(one, bound)


def fill_descriptor(writer: int) -> None:
    try:
        while True:
            os.write(writer, bytes(65536))
    except BlockingIOError:
        pass


def unix_sockets(bound: int) -> None:
    def one(_: int) -> tuple:
        left, right = socket.socketpair()
        left.setblocking(False)
        fill_descriptor(left.fileno())
        return left, right

    repeat(one, bound)


def tcp_sockets(bound: int) -> None:
    """Full buffers of TCP over loopback, the largest that may be asked for."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)

    def one(_: int) -> tuple:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * MIB)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * MIB)
        client.setblocking(False)
        fill_descriptor(client.fileno())
        return client, server

    repeat(one, bound)


def udp_sockets(bound: int) -> None:
    """Full buffers of datagrams that nobody reads."""

    def one(_: int) -> tuple:
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * MIB)
        receiver.bind(("127.0.0.1", 0))
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.connect(receiver.getsockname())
        for _ in range(400):  # of what is beyond the buffer nothing is kept
            sender.send(bytes(1024))
        sender.close()
        return receiver

    repeat(one, bound)


def descriptors(bound: int) -> None:
    repeat(lambda _: os.dup(0), bound)


def epolls(bound: int) -> None:
    """Watches without a descriptor each: every epoll set watches the same 100 pipes."""
    pipes = [os.pipe()[0] for _ in range(100)]

    def one(_: int) -> object:
        watcher = select.epoll()
        for descriptor in pipes:
            watcher.register(descriptor)
        return watcher

    repeat(one, bound)


def timers(bound: int) -> None:
    """POSIX timers: kernel memory that is limited by user, not by process."""
    libc = ctypes.CDLL("librt.so.1", use_errno=True)

    def one(_: int) -> object:
        identity = ctypes.c_void_p()
        if libc.timer_create(1, None, ctypes.byref(identity)) == -1:
            raise OSError(ctypes.get_errno(), "timer_create")
        return identity

    repeat(one, bound)


def inotify(bound: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def one(_: int) -> int:
        descriptor = libc.inotify_init1(0)
        if descriptor == -1:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        return descriptor

    repeat(one, bound)


def message_queues(bound: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def one(_: int) -> int:
        identity = libc.msgget(0, 0o1600)
        if identity == -1:
            raise OSError(ctypes.get_errno(), "msgget")
        message = ctypes.create_string_buffer(8 + 8192)
        message[0] = b"\x01"
        while libc.msgsnd(identity, message, ctypes.c_size_t(8192), 0o4000) == 0:
            pass
        if bound != FOREVER:
            libc.msgctl(identity, 0, None)
        return identity

    repeat(one, bound)


def locks(bound: int) -> None:
    """Record locks on every second byte of some files: kernel memory without a descriptor each."""
    import fcntl

    held = [open(f"/tmp/locks-{number}", "wb") for number in range(500)]
    kept.append(held)
    repeat(lambda count: fcntl.lockf(held[count % 500], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 2 * (count // 500)), bound)


def deep(directory: str, bound: int) -> None:
    """A directory in a directory in a directory, far beyond what a path may name."""
    os.chdir(directory)

    def one(_: int) -> None:
        os.mkdir("d")
        os.chdir("d")

    repeat(one, bound)


def spin(bound: int) -> None:
    """Busy for `bound` ms, or for ever."""
    print("begun", flush=True)
    end = time.process_time() + bound / 1000
    while time.process_time() < end:
        pass
    report(bound, "bound")


def many_spinners(_: int) -> None:
    """A thousand busy children, which begin all at once."""
    reader, writer = os.pipe()
    for _ in range(1000):
        try:
            if os.fork() == 0:
                os.close(writer)
                os.read(reader, 1)
                while True:
                    pass
        except OSError:
            break
    print("begun", flush=True)
    os.close(writer)
    while True:
        pass


def crash(_: int) -> None:
    """SIGSEGV with much memory touched: a core file would show."""
    area = bytearray(32 * MIB)
    print(len(area), flush=True)
    ctypes.string_at(0)


BOMBS = {
    name: function
    for name, function in list(globals().items())
    if callable(function) and getattr(function, "__module__", "") == __name__
}


def main() -> None:
    only_in_scratch()
    name, *rest = sys.argv[1:]
    hold = rest[-1:] == ["hold"] and bool(rest.pop())
    directory = rest.pop(0) if rest and rest[0].startswith("/") else None
    bound = int(rest[0]) if rest else FOREVER
    if directory is None:
        BOMBS[name](bound)
    else:
        BOMBS[name](directory, bound)
    if hold:
        sys.stdin.read()


if __name__ == "__main__":
    main()
