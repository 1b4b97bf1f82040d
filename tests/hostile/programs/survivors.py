"""Programs that try to outlive the end of their sandbox. `python3 survivors.py NAME`."""
import os
import signal
import sys
import time

from probe import only_in_scratch


def ignore_all() -> None:
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass


def detach(keep_output: bool) -> bool:
    """Double fork, a new session; true in the child that is left."""
    if os.fork():
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    ignore_all()
    if not keep_output:
        for descriptor in (0, 1, 2):
            os.close(descriptor)
    return True


def daemon(keep_output: bool) -> None:
    if detach(keep_output):
        while True:
            time.sleep(0.02)
    print("parent ends", flush=True)


def many_daemons() -> None:
    """A tree of them, half with the output in their hands."""
    for index in range(20):
        if detach(index % 2 == 0):
            while True:
                signal.pause()
    print("parent ends", flush=True)


def ignoring_parent() -> None:
    ignore_all()
    print("begun", flush=True)
    while True:
        signal.pause()


def stopped() -> None:
    """A process that is stopped cannot run a handler; SIGKILL must still end it."""
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    os.waitpid(child, os.WUNTRACED)
    print("begun", flush=True)
    while True:
        signal.pause()


def closed_output() -> None:
    """The run lasts as long as the program, not as its output."""
    print("before", flush=True)
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        time.sleep(0.05)
    os._exit(7)


def kill_everyone() -> None:
    """kill(-1) reaches all but the caller and pid 1; the second try reaches for pid 1 from a child."""
    children = [os.fork() or signal.pause() for _ in range(5)]
    if os.fork() == 0:
        os.kill(1, signal.SIGKILL)
        os.kill(1, signal.SIGSTOP)
        os._exit(0)
    os.wait()
    os.kill(-1, signal.SIGKILL)
    for _ in children:
        os.wait()
    print("alone", flush=True)
    os._exit(3)


def kill_numbers() -> None:
    """Every number that could be a process of the host."""
    reached = 0
    for pid in range(2, 40000):
        try:
            os.kill(pid, signal.SIGKILL)
            reached += pid != os.getpid()
        except OSError:
            pass
    print(reached, flush=True)


PROGRAMS = {
    "daemon_silent": lambda: daemon(False),
    "daemon_with_output": lambda: daemon(True),
    "many_daemons": many_daemons,
    "ignoring_parent": ignoring_parent,
    "stopped": stopped,
    "closed_output": closed_output,
    "kill_everyone": kill_everyone,
    "kill_numbers": kill_numbers,
}

if __name__ == "__main__":
    only_in_scratch()
    PROGRAMS[sys.argv[1]]()
