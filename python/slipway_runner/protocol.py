"""The runner protocol, version 1: the messages of the runner, and the strict parser of the one request.

Source: docs/runner-protocol.md; vectors: conformance/runner-protocol.json.
"""

import sys

from slipway_runner import VERSION

PROTOCOL = 1
MAX_FILES = 256
MAX_CONTENT_BYTES = 16 * 1024 * 1024
MAX_PIECE_BYTES = 64 * 1024
MAX_PATH_BYTES = 1024
MAX_COMPONENT_BYTES = 255
#: The folder in the code directory that is the runner's own.
RESERVED = ".slipway"

#: Signals 1 to 31 of Linux on x86-64 and arm64, in order; real-time signals have no portable name.
SIGNALS = (
    "SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE "
    "SIGALRM SIGTERM SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ "
    "SIGVTALRM SIGPROF SIGWINCH SIGIO SIGPWR SIGSYS"
).split()


class RequestError(Exception):
    """The request is wrong; the message says which part, and is sent to the starter."""


def ready_message(preloaded: "list[str]", failed: "list[str]") -> "dict[str, object]":
    message: "dict[str, object]" = {
        "type": "ready",
        "protocol": PROTOCOL,
        "runner": "slipway-python",
        "version": VERSION,
        "language": "python",
        "languageVersion": "%d.%d.%d" % sys.version_info[:3],
        "preloaded": preloaded,
    }
    if failed:
        message["preloadFailed"] = failed
    return message


def started_message() -> "dict[str, object]":
    return {"type": "started"}


def exit_message(status: int) -> "dict[str, object]":
    """``signal`` by name if it has one, else ``code``: that of the script, or 128 + n after signal n.

    :param status: as ``os.waitpid`` returns it
    """
    number = status & 0x7F
    if 1 <= number <= len(SIGNALS):
        return {"type": "exit", "signal": SIGNALS[number - 1]}
    return {"type": "exit", "code": 128 + number if number else status >> 8}


def refused_message(reason: str) -> "dict[str, object]":
    return {"type": "refused", "reason": reason[:1000]}


class File:
    """A file of the script: ``path`` below the code directory, ``size`` in bytes, ``sha256`` in hex."""

    __slots__ = ("path", "size", "sha256")

    def __init__(self, path: str, size: int, sha256: str) -> None:
        self.path = path
        self.size = size
        self.sha256 = sha256


class Request:
    """A request that has been checked."""

    __slots__ = ("entry", "files", "args", "env", "context", "merged")

    def __init__(self, message: "dict[str, object]") -> None:
        self.entry: str = parse_path(message["entry"])
        self.files: "list[File]" = _parse_files(message["files"])
        self.args: "list[str]" = [_text(item, "an argument") for item in _list(message["args"], "args")]
        self.env: "dict[str, str]" = _parse_env(message["env"])
        self.context: object = message["context"]
        self.merged: bool = _one_of(message["streams"], "streams", ("merged", "separate")) == "merged"
        if self.entry not in [file.path for file in self.files]:
            raise RequestError(f"entry {self.entry!r} is not among the files.")


def parse_request(message: "dict[str, object]") -> Request:
    """Accepts exactly the message ``run`` of version 1."""
    _one_of(message.get("type"), "type", ("run",))
    _one_of(message.get("kind"), "kind", ("script",))
    _only(message, "the request", ("type", "kind", "entry", "files", "args", "env", "context", "streams"))
    return Request(message)


def parse_path(value: object) -> str:
    """A relative path that stays below the code directory and outside the runner's own folder."""
    path = _text(value, "a path")
    parts = path.split("/")
    if len(path.encode()) > MAX_PATH_BYTES or any(len(part.encode()) > MAX_COMPONENT_BYTES for part in parts):
        raise RequestError(f"The path {path[:100]!r} is too long.")
    if any(part in ("", ".", "..") for part in parts) or parts[0] == RESERVED:
        raise RequestError(f"The path {path[:100]!r} is not allowed; use a relative path without '.' or '..'.")
    return path


def _parse_files(value: object) -> "list[File]":
    files = [_parse_file(item) for item in _list(value, "files")]
    if len(files) > MAX_FILES:
        raise RequestError(f"There are {len(files)} files; at most {MAX_FILES} are allowed.")
    if sum(file.size for file in files) > MAX_CONTENT_BYTES:
        raise RequestError(f"The files have more than {MAX_CONTENT_BYTES} bytes together.")
    if len({file.path for file in files}) < len(files):
        raise RequestError("Two files have the same path.")
    return files


def _parse_file(value: object) -> File:
    if not isinstance(value, dict):
        raise RequestError("A file is not an object.")
    _only(value, "a file", ("path", "size", "sha256"))
    size, sha256 = value["size"], value["sha256"]
    if type(size) is not int or size < 0:
        raise RequestError("The size of a file is not a whole number of bytes.")
    if not isinstance(sha256, str) or len(sha256) != 64 or sha256.strip("0123456789abcdef"):
        raise RequestError("The sha256 of a file is not 64 lower-case hexadecimal digits.")
    return File(parse_path(value["path"]), size, sha256)


def _parse_env(value: object) -> "dict[str, str]":
    if not isinstance(value, dict):
        raise RequestError("env is not an object.")
    for name in value:
        if not _text(name, "a name in env") or "=" in name:
            raise RequestError("A name in env is empty or has '=' in it.")
    return {name: _text(item, "a value in env") for name, item in value.items()}


def _only(value: "dict[str, object]", what: str, names: "tuple[str, ...]") -> None:
    for name in names:
        if name not in value:
            raise RequestError(f"{name} is missing in {what}.")
    if len(value) > len(names):
        unknown = [name for name in value if name not in names]
        raise RequestError(f"Unknown in {what}: {unknown[0][:100]!r}.")


def _list(value: object, what: str) -> "list[object]":
    if isinstance(value, list):
        return value
    raise RequestError(f"{what} is not a list.")


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise RequestError(f"{what} is not text.")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise RequestError(f"{what} has a NUL or half a surrogate pair in it.")
    return value


def _one_of(value: object, what: str, allowed: "tuple[str, ...]") -> str:
    if isinstance(value, str) and value in allowed:
        return value
    raise RequestError(f"{what} is not one of {', '.join(allowed)}.")
