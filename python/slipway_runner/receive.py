"""Takes the request and the script's files off the channel and writes the files below the code directory."""

import os

from slipway_runner import frames
from slipway_runner.protocol import (
    MAX_PIECE_BYTES,
    RESERVED,
    File,
    Request,
    RequestError,
    parse_request,
)

try:
    from _sha256 import sha256  # ``hashlib`` would load OpenSSL
except ImportError:  # Python 3.12 and later
    from _sha2 import sha256


def receive_request(channel: int, code: str) -> "Request | None":
    """The request, its files verified and written; None when the starter closed without one.

    :raises RequestError, frames.FrameError, OSError: the request cannot be honoured
    """
    first = frames.read_frame(channel)
    if first is None:
        return None
    kind, payload = first
    if kind != frames.JSON:
        raise RequestError("The first frame is not a control frame.")
    request = parse_request(frames.decode_object(payload))
    for file in request.files:
        _receive_file(channel, code, file)
    _write_context(code, request.context)
    return request


def context_path(code: str) -> str:
    return f"{code}/{RESERVED}/context.json"


def _receive_file(channel: int, code: str, file: File) -> None:
    target = _create(code, file.path)
    try:
        _receive_content(channel, file, target)
    finally:
        os.close(target)


def _receive_content(channel: int, file: File, target: int) -> None:
    digest = sha256()
    missing = file.size
    while missing > 0:
        piece = _read_piece(channel)
        missing -= len(piece)
        if missing < 0:
            raise RequestError(f"More than {file.size} bytes came for {file.path!r}.")
        digest.update(piece)
        _write_all(target, piece)
    if digest.hexdigest() != file.sha256:
        raise RequestError(f"The content of {file.path!r} does not have the sha256 that the request names.")


def _read_piece(channel: int) -> bytes:
    frame = frames.read_frame(channel, MAX_PIECE_BYTES)
    if frame is None:
        raise RequestError("The channel was closed before all content came.")
    kind, piece = frame
    if kind != frames.BYTES or not piece:
        raise RequestError("A frame of content is missing, empty or of the wrong kind.")
    return piece


def _create(code: str, path: str) -> int:
    """A descriptor of the new file; parts of the path that are links or files are refused."""
    folder, _, _ = path.rpartition("/")
    try:
        if folder:
            os.makedirs(f"{code}/{folder}", exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(f"{code}/{path}", flags, 0o644)
    except OSError as error:
        raise RequestError(f"The file {path[:100]!r} cannot be created: {error.strerror}.") from None


def _write_context(code: str, context: object) -> None:
    text = "null"
    if context is not None:
        import json  # 7 ms, for those runs only that have a context

        try:
            text = json.dumps(context, allow_nan=False)
        except (ValueError, RecursionError):
            raise RequestError("The context has a number or a depth that JSON cannot carry.") from None
    target = _create(code, f"{RESERVED}/context.json")
    try:
        _write_all(target, text.encode())
    finally:
        os.close(target)


def _write_all(target: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(target, rest) :]
