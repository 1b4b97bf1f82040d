"""Process 1 while the script runs: reaps every process, forwards signals, reports how the script ended."""

import gc
import os
import posix
import sys
from _signal import (
    SIG_BLOCK,
    SIG_DFL,
    SIG_UNBLOCK,
    SIGCHLD,
    SIGHUP,
    SIGINT,
    SIGTERM,
    default_int_handler,
    pthread_sigmask,
    signal,
    sigwait,
)

from slipway_runner import frames
from slipway_runner.protocol import exit_message

_WATCHED = (SIGCHLD, SIGHUP, SIGINT, SIGTERM)
_PR_SET_DUMPABLE = 4


def fork_script(channel: int) -> int:
    """Forks. In process 1: the child's id. In the child: 0, with the channel closed and signals as usual.

    Signals are blocked first and taken by ``sigwait``: none is lost, none interrupts anything. Objects that
    exist are hidden from the child's garbage collector, whose marks would copy every page of them (1 ms for
    a bare runner, 10 ms with much preloaded).
    """
    gc.freeze()
    pthread_sigmask(SIG_BLOCK, _WATCHED)
    _set_dumpable(False)
    child = posix.fork()
    if child == 0:
        _leave_process_1(channel)
    return child


def supervise(child: int, channel: int) -> None:
    """Waits for the script and ends this process with its status (128 + n after signal n). Never returns."""
    _close_standard_streams()
    status = None
    while status is None:
        number = sigwait(_WATCHED)
        if number == SIGCHLD:
            status = _reap(child)
        else:
            _forward(child, number)
    tell(channel, exit_message(status))
    posix._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


def tell(channel: int, message: "dict[str, object]") -> None:
    """Sends a message; a starter that has gone is not our failure."""
    try:
        frames.write_message(channel, message)
    except OSError:
        pass


def _leave_process_1(channel: int) -> None:
    posix.close(channel)
    _set_dumpable(True)
    posix.setsid()
    for number in (SIGCHLD, SIGHUP, SIGTERM):
        signal(number, SIG_DFL)
    signal(SIGINT, default_int_handler)
    pthread_sigmask(SIG_UNBLOCK, _WATCHED)


def _set_dumpable(dumpable: bool) -> None:
    """Whether processes of the same user may trace this one, read its memory or take its descriptors.

    ``prctl`` without the package ``ctypes``, which costs 4 ms. Best effort: without it the script can forge
    messages about itself, which the starter must expect anyhow.
    """
    try:
        import _ctypes

        prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")
        _ctypes.call_function(prctl, (_PR_SET_DUMPABLE, int(dumpable), 0, 0, 0))
    except (ImportError, AttributeError, OSError):
        pass


def _close_standard_streams() -> None:
    """So that readers see the end of a stream when the script closes it, not when process 1 ends."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    for descriptor in (0, 1, 2):
        try:
            posix.close(descriptor)
        except OSError:
            pass


def _reap(child: int) -> "int | None":
    """Takes the status of everything that has ended; the script's own if that is among it."""
    while True:
        try:
            pid, status = posix.waitpid(-1, posix.WNOHANG)
        except ChildProcessError:
            return None
        if pid == child:
            return status
        if pid == 0:
            return None


def _forward(child: int, number: int) -> None:
    """To the script's process group; before the child has made that group, to the child."""
    for send in (posix.killpg, posix.kill):
        try:
            send(child, number)
            return
        except OSError:
            continue
