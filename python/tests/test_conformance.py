"""The codec and the parser against the vectors that the TypeScript tests use too."""

from __future__ import annotations

import json
import os
import sys
import unittest
from typing import Any

from slipway_runner import frames, protocol
from tests.driver import SOURCE

CONFORMANCE = SOURCE.parent / "conformance"


def vectors(name: str) -> dict[str, Any]:
    return json.loads((CONFORMANCE / name).read_text())


def read_all(content: bytes) -> list[tuple[int, object]]:
    """Every frame in ``content``, decoded, through a real pipe."""
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    try:
        found: list[tuple[int, object]] = []
        while (frame := frames.read_frame(reader)) is not None:
            kind, payload = frame
            found.append((kind, frames.decode_object(payload) if kind == frames.JSON else payload))
        return found
    finally:
        os.close(reader)


class FrameVectors(unittest.TestCase):
    vectors = vectors("frames.json")

    def test_the_limit_is_the_same(self) -> None:
        self.assertEqual(frames.MAX_FRAME_BYTES, self.vectors["maxPayloadBytes"])

    def test_good_frames_are_read(self) -> None:
        for vector in self.vectors["good"]:
            with self.subTest(vector["name"]):
                expected = (1, vector["value"]) if vector["kind"] == "json" else (2, bytes.fromhex(vector["bytesHex"]))
                self.assertEqual(read_all(bytes.fromhex(vector["hex"])), [expected])

    def test_canonical_frames_are_written(self) -> None:
        for vector in self.vectors["good"]:
            if not vector["canonical"]:
                continue
            with self.subTest(vector["name"]):
                if vector["kind"] == "json":
                    written = frames.encode_frame(frames.JSON, frames.encode_json(vector["value"]).encode())
                else:
                    written = frames.encode_frame(frames.BYTES, bytes.fromhex(vector["bytesHex"]))
                self.assertEqual(written.hex(), vector["hex"])

    def test_bad_frames_are_refused_for_their_reason(self) -> None:
        for vector in self.vectors["bad"]:
            with self.subTest(vector["name"]), self.assertRaises(frames.FrameError) as caught:
                read_all(bytes.fromhex(vector["hex"]))
            self.assertEqual(caught.exception.reason, vector["reason"])

    def test_json_as_deep_as_a_frame_can_hold_is_refused(self) -> None:
        with self.assertRaises(frames.FrameError) as caught:
            frames.decode_object(b'{"a":' + b"[" * 500_000)
        self.assertEqual(caught.exception.reason, "not-json")


class MessageVectors(unittest.TestCase):
    vectors = vectors("runner-protocol.json")

    def test_valid_requests_are_accepted(self) -> None:
        for vector in self.vectors["starterToRunnerValid"]:
            with self.subTest(vector["name"]):
                request = protocol.parse_request(vector["message"])
                self.assertEqual(request.entry, vector["message"]["entry"])
                self.assertEqual(request.merged, vector["message"]["streams"] == "merged")

    def test_invalid_requests_are_refused(self) -> None:
        for vector in self.vectors["starterToRunnerInvalid"]:
            with self.subTest(vector["name"]), self.assertRaises(protocol.RequestError) as caught:
                protocol.parse_request(vector["message"])
            str(caught.exception).encode()  # half a surrogate must not reach the channel

    def test_the_runner_says_only_what_the_starter_accepts(self) -> None:
        valid = [vector["message"] for vector in self.vectors["runnerToStarterValid"]]
        version = {"languageVersion": "%d.%d.%d" % sys.version_info[:3]}
        said = [
            protocol.started_message(),
            protocol.exit_message(0),
            protocol.exit_message(255 << 8),
            protocol.exit_message(9),
            protocol.exit_message(9 | 128),
            protocol.exit_message(34),
        ]
        for message in said:
            self.assertIn(message, valid)
        self.assertEqual(protocol.ready_message([], []), {**valid[0], **version})
        self.assertEqual(protocol.ready_message(["pandas"], ["nope"]), {**valid[1], **version})

    def test_a_long_reason_is_cut_to_what_the_starter_accepts(self) -> None:
        self.assertEqual(len(str(protocol.refused_message("x" * 5000)["reason"])), 1000)


if __name__ == "__main__":
    unittest.main()
