"""What the real runner does with requests: good ones are honoured to the letter, bad ones refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import unittest
from typing import Any, Callable

from slipway_runner import protocol
from tests.driver import ENVIRONMENT, Outcome, Runner, Sandbox, request, run_script
from tests.test_conformance import vectors

SCRIPT = {"script.py": b"print('ran')\n"}


class WithSandbox(unittest.TestCase):
    def setUp(self) -> None:
        self.sandbox = Sandbox()
        self.addCleanup(self.sandbox.close)

    def start(self, **options: Any) -> Runner:
        """A runner that has said it is ready."""
        runner = Runner(self.sandbox, **options)
        self.addCleanup(runner.close)
        self.assertEqual(runner.next_message()["type"], "ready")
        return runner


class Refusals(WithSandbox):
    def _converse(self, speak: Callable[[Runner], object]) -> Outcome:
        runner = self.start()
        try:
            speak(runner)
            runner.channel.shutdown(1)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has refused and gone before it was told everything
        return runner.finish()

    def _assert_refused(self, speak: Callable[[Runner], object], reason: str = ".") -> None:
        outcome = self._converse(speak)
        self.assertEqual([message["type"] for message in outcome.messages], ["refused"])
        self.assertRegex(outcome.messages[0]["reason"], reason)
        self.assertEqual((outcome.status, outcome.out, outcome.err), (125, b"", b""))

    def test_every_invalid_request_of_the_vectors(self) -> None:
        for vector in vectors("runner-protocol.json")["starterToRunnerInvalid"]:
            with self.subTest(vector["name"]):
                self._assert_refused(lambda runner: runner.send_message(vector["message"]))
                self.assertEqual(os.listdir(self.sandbox.code), [])

    def test_every_bad_frame_of_the_vectors(self) -> None:
        first = [vector for vector in vectors("frames.json")["bad"] if not vector["name"].startswith("good frame")]
        for vector in first:
            with self.subTest(vector["name"]):
                self._assert_refused(lambda runner: runner.channel.sendall(bytes.fromhex(vector["hex"])))

    def test_bytes_before_the_request(self) -> None:
        self._assert_refused(lambda runner: runner.send(2, b"{}"), "not a control frame")

    def test_wrong_content(self) -> None:
        for name, content, reason in [
            ("of the same length", b"print('RAN')\n", "sha256"),
            ("longer", b"print('ran')\n#", "More than 13 bytes"),
            ("shorter", b"print('ran')", "closed before"),
            ("missing", b"", "closed before"),
        ]:
            with self.subTest(name):
                self._assert_refused(lambda runner: runner.send_request(request(SCRIPT), [content]), reason)
                os.unlink(self.sandbox.code / "script.py")

    def test_wrong_sha256_of_an_empty_file(self) -> None:
        wrong = [{"path": "script.py", "size": 0, "sha256": "0" * 64}]
        self._assert_refused(lambda runner: runner.send_message({**request(SCRIPT), 'files': wrong}), "sha256")

    def test_wrong_frames_of_content(self) -> None:
        large = {"script.py": b"#" * 200_000}
        for name, files, kind, payload, reason in [
            ("a control frame", SCRIPT, 1, b"{}", "wrong kind"),
            ("an empty frame", SCRIPT, 2, b"", "empty"),
            ("a piece over 64 KiB", large, 2, b"#" * 65_537, "over the limit of 65536"),
            ("an unknown kind", SCRIPT, 7, b"x", "unknown kind"),
        ]:
            with self.subTest(name):

                def speak(runner: Runner) -> None:
                    runner.send_message(request(files))
                    runner.send(kind, payload)

                self._assert_refused(speak, reason)
                os.unlink(self.sandbox.code / "script.py")

    def test_a_file_that_is_also_a_folder(self) -> None:
        files = {**SCRIPT, "a": b"", "a/b": b"x"}
        self._assert_refused(lambda runner: runner.send_request(request(files), [*files.values()]), "cannot be created")

    def test_existing_files_and_links_are_not_written_to(self) -> None:
        victim = self.sandbox.root / "victim"
        victim.write_bytes(b"mine")
        victim.chmod(0o666)
        os.symlink(victim, self.sandbox.code / "script.py")
        self._assert_refused(lambda runner: runner.send_request(request(SCRIPT), [*SCRIPT.values()]), "cannot be created")
        self.assertEqual(victim.read_bytes(), b"mine")

    def test_a_context_that_json_cannot_carry(self) -> None:
        text = json.dumps(request(SCRIPT)).replace('"context": null', '"context": 1e999').encode()

        def speak(runner: Runner) -> None:
            runner.send(1, text)
            runner.send(2, SCRIPT["script.py"])

        self._assert_refused(speak, "context")

    def test_a_missing_work_directory(self) -> None:
        self.sandbox.work.rmdir()
        self._assert_refused(lambda runner: runner.send_request(request(SCRIPT), [*SCRIPT.values()]), "No such file")


class Requests(WithSandbox):
    def _run(self, source: str, **options: Any) -> str:
        outcome = run_script(self.sandbox, source, **options)
        self.assertEqual((outcome.err, outcome.status), (b"", 0))
        return outcome.out.decode()

    def test_ready_comes_first_and_says_who_is_there(self) -> None:
        outcome = run_script(self.sandbox, "import platform; print(platform.python_version())")
        version = outcome.out.decode().strip()
        self.assertEqual(outcome.messages[0], {**protocol.ready_message([], []), "languageVersion": version})

    def test_closing_before_a_request_ends_it_quietly(self) -> None:
        runner = self.start()
        runner.channel.shutdown(1)
        outcome = runner.finish()
        self.assertEqual((outcome.messages, outcome.status, outcome.out, outcome.err), ([], 0, b"", b""))

    def test_without_a_channel_it_says_so(self) -> None:
        argv = self.sandbox.argv()
        ended = subprocess.run(argv, capture_output=True, env=ENVIRONMENT, stdin=subprocess.DEVNULL)
        self.assertEqual(ended.returncode, 1)
        self.assertIn(b"descriptor 3 is not an open channel", ended.stderr)

    def test_files_arrive_whole_in_their_folders(self) -> None:
        more = {"pkg/__init__.py": b"", "pkg/deep/m.py": b"V = 7\n", "\u00e4 b.bin": bytes(range(256)) * 1000}
        source = """
from pkg.deep.m import V
import os, hashlib
here = os.path.dirname(__file__)
print(V, hashlib.sha256(open(here + '/\u00e4 b.bin', 'rb').read()).hexdigest())
"""
        digest = hashlib.sha256(more["\u00e4 b.bin"]).hexdigest()
        self.assertEqual(self._run(source, more_files=more), f"7 {digest}\n")

    def test_the_most_that_a_request_can_carry(self) -> None:
        large = b"\0" * (16 * 1024 * 1024 - 4000)
        more = {"large": large, **{f"d/{number}": b"" for number in range(254)}}
        source = "import os; d = os.path.dirname(__file__); print(os.path.getsize(d + '/large'), len(os.listdir(d + '/d')))"
        self.assertEqual(self._run(source, more_files=more), f"{len(large)} 254\n")

    def test_an_entry_in_a_folder_is_imported_from_there(self) -> None:
        files = {"script.py": b"", "app/main.py": b"import near, sys; print(near.X, sys.argv)", "app/near.py": b"X = 1"}
        runner = self.start()
        runner.send_request(request(files, entry="app/main.py"), [*files.values()])
        self.assertEqual(runner.finish().out.decode(), f"1 ['{self.sandbox.code}/app/main.py']\n")

    def test_the_environment_is_the_one_of_the_request(self) -> None:
        source = "import os, subprocess; print(sorted(os.environ.items())); subprocess.run(['/usr/bin/env', '-0'])"
        runner_env = {**ENVIRONMENT, "SECRET_OF_THE_RUNNER": "x"}
        env = {"A": "1=2", "\u00c4": "\u00f6\n", "SLIPWAY_WORK": "/elsewhere"}
        out = self._run(source, env=env, runner_env=runner_env)
        expected = {
            "A": "1=2",
            "\u00c4": "\u00f6\n",
            "SLIPWAY_CONTEXT": f"{self.sandbox.code}/.slipway/context.json",
            "SLIPWAY_DATA": str(self.sandbox.data),
            "SLIPWAY_WORK": str(self.sandbox.work),
        }
        first, rest = out.split("\n", 1)
        self.assertEqual(first, str(sorted(expected.items())))
        inherited = dict(item.split("=", 1) for item in rest.rstrip("\0").split("\0"))
        self.assertEqual({k: v for k, v in inherited.items() if k != "LC_CTYPE"}, expected)

    def test_python_path_and_time_zone_of_the_request_count(self) -> None:
        (self.sandbox.data / "mine.py").write_text("X = 5\n")
        source = "import mine, sys, time; print(mine.X, sys.path[1], time.tzname[0])"
        env = {**ENVIRONMENT, "PYTHONPATH": str(self.sandbox.data), "TZ": "ABC-3"}
        self.assertEqual(self._run(source, env=env), f"5 {self.sandbox.data} ABC\n")

    def test_context_data_and_directories_by_the_author_s_library(self) -> None:
        source = "import slipway; print(ascii(slipway.context()), slipway.DATA, slipway.WORK)"
        for context in ({"rows": [1, 2.5, None, True, "\u00e4\U0001f40d\ud800"]}, False, 0, "", []):
            with self.subTest(context=context):
                self.setUp()  # a sandbox is used once
                places = f"{self.sandbox.data} {self.sandbox.work}\n"
                self.assertEqual(self._run(source, context=context), f"{ascii(context)} {places}")

    def test_no_context_is_none(self) -> None:
        self.assertEqual(self._run("import slipway; print(slipway.context())"), "None\n")

    def test_modules_are_imported_before_ready(self) -> None:
        source = "import sys; print('decimal' in sys.modules, 'fractions' in sys.modules)"
        env = {**ENVIRONMENT, "SLIPWAY_PRELOAD": "decimal, no_such_module,"}
        outcome = run_script(self.sandbox, source, runner_env=env)
        self.assertEqual(outcome.messages[0], {**outcome.messages[0], "preloaded": ["decimal"]})
        self.assertEqual(outcome.messages[0]["preloadFailed"], ["no_such_module"])
        self.assertEqual(outcome.out, b"True False\n")

    def test_frames_may_arrive_in_any_pieces(self) -> None:
        runner = self.start()
        message = json.dumps(request(SCRIPT)).encode()
        content = SCRIPT["script.py"]
        sent = b"".join(len(p).to_bytes(4, "big") + bytes([k]) + p for k, p in ((1, message), (2, content)))
        for at in range(len(sent)):
            runner.channel.send(sent[at : at + 1])
        self.assertEqual(runner.finish().out, b"ran\n")


if __name__ == "__main__":
    unittest.main()
