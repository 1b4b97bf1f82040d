"""Standard output and error of the script, so that what it prints comes out in time and in order."""

import io
import os
import sys


def set_up_streams(merged: bool) -> None:
    """Line buffering on both; ``merged`` puts both on descriptor 1, in the exact order of the writes."""
    if merged:
        os.dup2(1, 2)
    if sys.stdout is None or sys.stderr is None:  # the descriptor was closed at start
        return
    if not merged:
        sys.stdout.reconfigure(line_buffering=True)
        sys.stderr.reconfigure(line_buffering=True)
        return
    out, err = _Ordered(1, "<stdout>"), _Ordered(2, "<stderr>")
    out.other, err.other = err, out
    sys.stdout = sys.__stdout__ = _text(out, sys.stdout)
    sys.stderr = sys.__stderr__ = _text(err, sys.stderr)


class _Ordered(io.BufferedWriter):
    """A buffer that lets out what the other stream still holds before it takes anything itself.

    Two buffers on one pipe would let unfinished lines overtake each other; one shared buffer would break
    scripts that redirect one of the two descriptors.
    """

    other: "_Ordered | None" = None

    def __init__(self, descriptor: int, name: str) -> None:
        raw = io.FileIO(descriptor, "w", closefd=False)
        raw.name = name  # as CPython names it
        super().__init__(raw)

    def write(self, data: "bytes | bytearray | memoryview") -> int:
        if self.other is not None:
            try:
                self.other.flush()
            except (OSError, ValueError):  # broken or closed: that stream's own affair
                pass
        return super().write(data)


def _text(buffer: io.BufferedWriter, like: io.TextIOWrapper) -> io.TextIOWrapper:
    stream = io.TextIOWrapper(
        buffer, like.encoding, like.errors, newline="\n", line_buffering=True, write_through=True
    )
    stream.mode = "w"
    return stream
