"""The framing of the runner's channel: u32 big-endian payload length, u8 kind, payload.

The same format as src/base/frames.ts; conformance/frames.json holds the vectors for both.
"""

import posix
from _json import encode_basestring_ascii, make_scanner

MAX_FRAME_BYTES = 1024 * 1024
JSON = 1
BYTES = 2

_HEADER_BYTES = 5
_WHITESPACE = " \t\r\n"


class FrameError(Exception):
    """The peer broke the framing. ``reason``: too-large, unknown-kind, not-json, not-object, truncated."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_frame(descriptor: int, limit: int = MAX_FRAME_BYTES) -> "tuple[int, bytes] | None":
    """One frame as (kind, payload), or None when the peer closed before it.

    :param limit: the largest payload in bytes; it is checked before anything is allocated
    """
    header = _read_exactly(descriptor, _HEADER_BYTES)
    if not header:
        return None
    length, kind = int.from_bytes(header[:4], "big"), header[4]
    if length > limit:
        raise FrameError("too-large", f"A frame of {length} bytes is over the limit of {limit}.")
    if kind not in (JSON, BYTES):
        raise FrameError("unknown-kind", f"A frame has the unknown kind {kind}.")
    payload = _read_exactly(descriptor, length)
    if len(payload) < length:
        raise FrameError("truncated", "The stream ended inside a frame.")
    return kind, payload


def _read_exactly(descriptor: int, length: int) -> bytes:
    """``length`` bytes, or none at all if the stream ended before the first of them."""
    pieces = []
    missing = length
    while missing > 0:
        piece = posix.read(descriptor, min(missing, 65536))
        if not piece:
            break
        pieces.append(piece)
        missing -= len(piece)
    if pieces and missing:
        raise FrameError("truncated", "The stream ended inside a frame.")
    return b"".join(pieces)


def write_message(descriptor: int, message: "dict[str, object]") -> None:
    """Sends one control frame."""
    rest = encode_frame(JSON, encode_json(message).encode())
    while rest:
        rest = rest[posix.write(descriptor, rest) :]


def encode_frame(kind: int, payload: bytes) -> bytes:
    if len(payload) > MAX_FRAME_BYTES:
        raise FrameError("too-large", f"A frame of {len(payload)} bytes is over the limit.")
    return len(payload).to_bytes(4, "big") + bytes([kind]) + payload


def encode_json(value: object) -> str:
    """JSON of what messages are made of: objects, lists, text, whole numbers, true, false, null."""
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return "[" + ",".join(map(encode_json, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{encode_json(name)}:{encode_json(item)}" for name, item in value.items()) + "}"
    raise TypeError(f"A message cannot hold a {type(value).__name__}.")


def decode_object(payload: bytes) -> "dict[str, object]":
    """The JSON object in the payload of a control frame."""
    value = _decode_json(payload)
    if not isinstance(value, dict):
        raise FrameError("not-object", "A control frame is not a JSON object.")
    return value


def _decode_json(payload: bytes) -> object:
    try:
        text = payload.decode("utf-8")
        start = len(text) - len(text.lstrip(_WHITESPACE))
        value, end = _scan(text, start)
    except (ValueError, StopIteration, RecursionError, SystemError):
        # SystemError: the scanner could not find the exception class of ``json``, which nobody imported.
        raise FrameError("not-json", "A control frame is not JSON.") from None
    if text[end:].strip(_WHITESPACE):
        raise FrameError("not-json", "A control frame has text after its JSON.")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class _Rules:
    """What ``json.decoder.JSONDecoder`` would hand to the scanner, without importing ``re`` for it."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_refuse_constant)


_scan = make_scanner(_Rules())
