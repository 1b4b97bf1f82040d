"""Turns the forked child into what ``python3 script.py`` would be, up to the first line of the script."""

import builtins
import os
import sys
import time
from _frozen_importlib_external import SourceFileLoader  # importlib.machinery costs 0.4 ms

from slipway_runner.places import Places
from slipway_runner.protocol import Request
from slipway_runner.receive import context_path
from slipway_runner.streams import set_up_streams

TYPE_CHECKING = False
if TYPE_CHECKING:  # not ``typing.TYPE_CHECKING``, which would import typing
    import types

_RUNNER = os.path.dirname(os.path.abspath(__file__))


def become_script(request: Request, places: Places) -> str:
    """Environment, streams, arguments, module path and ``__main__`` as the request says; in the child alone.

    Returns the path of the script.
    """
    path = f"{places.code}/{request.entry}"
    _prefer_as_oom_victim()
    _replace_environment(request, places)
    set_up_streams(request.merged)
    _set_path(os.path.dirname(path), places.library, request.env.get("PYTHONPATH", ""))
    sys.argv = [path, *request.args]
    sys.orig_argv = [sys.executable, *sys.argv]
    sys.modules["__main__"] = _fresh_main(path)
    return path


def compile_script(path: str) -> "types.CodeType":
    with open(path, "rb") as source:
        return compile(source.read(), path, "exec", dont_inherit=True)


def hide_runner(error: BaseException) -> None:
    """Makes CPython's report of ``error`` begin with the script's own first frame.

    The report itself is left to CPython (sys.excepthook, SIGINT after KeyboardInterrupt, exit status).
    """
    hook = sys.excepthook

    def show(kind: "type[BaseException]", value: BaseException, _: "types.TracebackType | None") -> None:
        sys.excepthook = hook
        trace = value.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_RUNNER + "/"):
            trace = trace.tb_next
        value.__traceback__ = sys.last_traceback = trace
        hook(kind, value, trace)

    sys.excepthook = show


def _prefer_as_oom_victim() -> None:
    """When memory runs out, the script and its children go first, so that process 1 can report it."""
    try:
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:  # no /proc, or not ours: the starter still sees the OOM counter
        return
    try:
        os.write(descriptor, b"1000")
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _replace_environment(request: Request, places: Places) -> None:
    os.environ.clear()
    os.environ.update(request.env)
    os.environ["SLIPWAY_CONTEXT"] = context_path(places.code)
    os.environ["SLIPWAY_DATA"] = places.data
    os.environ["SLIPWAY_WORK"] = places.work
    time.tzset()


def _set_path(folder: str, library: str, extra: str) -> None:
    """As CPython: the script's folder, PYTHONPATH, the rest; our author's library comes last."""
    rest = [item for item in sys.path if item != library]
    added = [os.path.abspath(item) for item in extra.split(os.pathsep)] if extra else []
    sys.path[:] = [folder, *added, *rest, library]


def _fresh_main(path: str) -> "types.ModuleType":
    module = type(sys)("__main__")
    module.__dict__.update(
        __annotations__={},
        __builtins__=builtins,
        __cached__=None,
        __file__=path,
        __loader__=SourceFileLoader("__main__", path),
    )
    return module
