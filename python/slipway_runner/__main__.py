"""The order of things: say *ready*, take the request, fork, run the script.

Process 1 never leaves ``_start``; the forked child returns from it and runs the script in this module's
frame, so that CPython itself does everything that an interpreter does at its end.
"""

import sys

_LIBRARY = __file__.rsplit("/", 2)[0]
sys.path.insert(0, _LIBRARY)

from slipway_runner import frames, protocol  # noqa: E402

_CHANNEL = 3
_REFUSED = 125


def _start(argv: "list[str]") -> str:
    """Returns the path of the script to run, in the child alone."""
    import posix

    preloaded, failed = _preload(posix.environ.get(b"SLIPWAY_PRELOAD", b"").decode())
    try:
        posix.set_inheritable(_CHANNEL, False)
        frames.write_message(_CHANNEL, protocol.ready_message(preloaded, failed))
    except OSError as error:
        sys.exit(f"slipway_runner: descriptor {_CHANNEL} is not an open channel to a starter: {error.strerror}")
    _run_site()  # while the starter answers
    from slipway_runner.places import Places
    from slipway_runner.receive import receive_request
    from slipway_runner.supervise import fork_script, supervise, tell

    places = Places(argv, _LIBRARY)
    try:
        request = receive_request(_CHANNEL, places.code)
        if request is None:
            posix._exit(0)
        posix.chdir(places.work)
        from slipway_runner.script import become_script

        child = fork_script(_CHANNEL)
    except (protocol.RequestError, frames.FrameError, OSError) as error:
        tell(_CHANNEL, protocol.refused_message(str(error)))
        posix._exit(_REFUSED)
    if child == 0:
        return become_script(request, places)
    tell(_CHANNEL, protocol.started_message())
    supervise(child, _CHANNEL)


def _preload(names: str) -> "tuple[list[str], list[str]]":
    """Imports modules before anybody waits for them; returns those that came and those that did not."""
    preloaded: "list[str]" = []
    failed: "list[str]" = []
    for name in filter(None, map(str.strip, names.split(","))):
        _run_site()
        try:
            __import__(name)
            preloaded.append(name)
        except Exception:
            failed.append(name)
    return preloaded, failed


def _run_site() -> None:
    """What the option -S left out: dist-packages, .pth files, ``exit`` and ``help``."""
    if "site" not in sys.modules:
        import site

        site.main()


_path = _start(sys.argv[1:])
try:
    from slipway_runner.script import compile_script, hide_runner

    # Nothing here may hold the script's namespace, or its finalisers would not run at the end.
    exec(compile_script(_path), sys.modules["__main__"].__dict__)
except SystemExit:
    raise
except BaseException as _error:
    hide_runner(_error)
    raise
