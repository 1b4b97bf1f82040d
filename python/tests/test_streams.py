"""Output: exact order when merged, exact bytes when separate, and it arrives while the script still runs."""

from __future__ import annotations

import os
import subprocess
import unittest

from tests.driver import run_script, request
from tests.test_requests import WithSandbox

ALTERNATING = """
import os, sys
for number in range({rounds}):
    print('out', number)
    print('err', number, file=sys.stderr)
    sys.stdout.write(f'o{{number}} ')
    sys.stderr.write(f'e{{number}} ')
    if number % 7 == 0:
        print(flush=True)
        os.write(2, b'raw\\n')
    if number % 11 == 0:
        print(file=sys.stderr, flush=True)
        os.system('echo child; echo child-err >&2')
"""


def expected_order(rounds: int) -> bytes:
    text = ""
    for number in range(rounds):
        text += f"out {number}\nerr {number}\no{number} e{number} "
        text += "\nraw\n" if number % 7 == 0 else ""
        text += "\nchild\nchild-err\n" if number % 11 == 0 else ""
    return text.encode()


class Streams(WithSandbox):
    def test_merged_keeps_the_order_of_5000_alternating_writes(self) -> None:
        source = """
import sys
for number in range(2500):
    print('out', number)
    print('err', number, file=sys.stderr)
"""
        outcome = run_script(self.sandbox, source, streams="merged")
        expected = "".join(f"out {number}\nerr {number}\n" for number in range(2500))
        self.assertEqual((outcome.out.decode(), outcome.err), (expected, b""))

    def test_merged_keeps_the_order_of_unfinished_lines_and_of_other_processes(self) -> None:
        outcome = run_script(self.sandbox, ALTERNATING.format(rounds=300), streams="merged")
        self.assertEqual((outcome.out, outcome.err), (expected_order(300), b""))

    def test_merged_tracebacks_come_after_what_was_printed(self) -> None:
        outcome = run_script(self.sandbox, "print('before', end=' ')\n1 / 0", streams="merged")
        self.assertTrue(outcome.out.startswith(b"before Traceback (most recent call last):\n"), outcome.out)
        self.assertEqual((outcome.err, outcome.status), (b"", 1))

    def test_merged_streams_can_be_closed_or_redirected_one_by_one(self) -> None:
        source = """
import os, sys
print('1', end='')
sys.stderr.close()
print('2', end='')
os.dup2(os.open('/dev/null', os.O_WRONLY), 2)
print('3', end='')
sys.stdout.flush()
print(sys.stdout.fileno(), sys.__stderr__.closed)
"""
        self.assertEqual(run_script(self.sandbox, source, streams="merged").out, b"1231 True\n")

    def test_merged_output_that_cannot_be_flushed_gives_120(self) -> None:
        source = "import os\nprint('x', end='')\nos.close(1)"
        outcome = run_script(self.sandbox, source, streams="merged")
        self.assertEqual(outcome.status, 120)
        self.assertIn(b"Bad file descriptor", outcome.out)

    def test_separate_streams_are_exact(self) -> None:
        source = """
import sys
for number in range(2000):
    sys.stdout.write(f'out {number}' + '\\n' * (number % 3))
    sys.stderr.write(f'err {number}' + '\\n' * (number % 2))
"""
        outcome = run_script(self.sandbox, source, streams="separate")
        out = "".join(f"out {number}" + "\n" * (number % 3) for number in range(2000))
        err = "".join(f"err {number}" + "\n" * (number % 2) for number in range(2000))
        self.assertEqual((outcome.out.decode(), outcome.err.decode()), (out, err))

    def test_megabytes_of_any_bytes_go_through_both_ways(self) -> None:
        content = os.urandom(1 << 20) * 3
        source = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
        self.assertEqual(run_script(self.sandbox, source, stdin=content).out, content)

    def test_a_line_arrives_before_the_script_ends(self) -> None:
        for streams in ("merged", "separate"):
            with self.subTest(streams):
                self.setUp()
                files = {"script.py": b"print('now'); print(input())"}
                runner = self.start(stdin=subprocess.PIPE)
                runner.send_request(request(files, streams=streams), [*files.values()])
                self.assertEqual(runner.process.stdout.readline(), b"now\n")
                self.assertEqual(runner.finish(b"later\n").out, b"later\n")

    def test_a_stream_ends_when_the_script_closes_it(self) -> None:
        files = {"script.py": b"import os; os.close(1); os.close(2); os.read(0, 1); os._exit(6)"}
        runner = self.start(stdin=subprocess.PIPE)
        runner.send_request(request(files), [*files.values()])
        self.assertEqual((runner.process.stdout.read(), runner.process.stderr.read()), (b"", b""))
        self.assertIsNone(runner.process.poll())
        runner.process.stdin.close()
        self.assertEqual([*runner.messages()], [{"type": "started"}, {"type": "exit", "code": 6}])


if __name__ == "__main__":
    unittest.main()
