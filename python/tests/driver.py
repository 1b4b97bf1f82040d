"""Drives the real runner as a starter would: a subprocess with one end of a socketpair as descriptor 3.

As root the runner gets the user id of a sandbox (65532), so that the tests of its walls mean something.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

SOURCE = Path(__file__).resolve().parent.parent
DEADLINE_S = 60
SANDBOX_ID = 65532

#: The interpreter under test: Debian's if it is there, because any user can execute it.
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable

#: The shape of the environment that a starter would give to process 1.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def as_sandbox_user() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": SANDBOX_ID, "group": SANDBOX_ID, "extra_groups": []}


class Sandbox:
    """The directories of one run, and a copy of the runner that the sandbox's user can read."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="slipway-runner-"))
        self.root.chmod(0o755)
        self.library = self.root / "lib"
        for package in ("slipway_runner", "slipway"):
            shutil.copytree(SOURCE / package, self.library / package, ignore=shutil.ignore_patterns("__pycache__"))
        self.code, self.work, self.data = (self._folder(name) for name in ("code", "work", "data"))
        os.chmod(self.library, 0o755)

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(mode=0o755)
        if os.geteuid() == 0:
            os.chown(folder, SANDBOX_ID, SANDBOX_ID)
        return folder

    def argv(self) -> list[str]:
        """As in the image's label, with other directories."""
        main = str(self.library / "slipway_runner" / "__main__.py")
        places = ["--code", str(self.code), "--work", str(self.work), "--data", str(self.data)]
        return [PYTHON, "-I", "-S", main, *places]

    def close(self) -> None:
        shutil.rmtree(self.root)


class Runner:
    """One running runner and our end of its channel."""

    def __init__(
        self,
        sandbox: Sandbox,
        env: Mapping[str, str] = ENVIRONMENT,
        prefix: Sequence[str] = (),
        **options: Any,
    ) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(DEADLINE_S)
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        identity = {} if prefix else as_sandbox_user()
        self.channel = ours
        self.process = _spawn([*prefix, *sandbox.argv()], theirs, {**streams, **identity, **options}, env)
        theirs.close()
        self._watchdog = threading.Timer(DEADLINE_S, self._kill)
        self._watchdog.daemon = True
        self._watchdog.start()

    def _kill(self) -> None:
        """Ends the runner and, outside a pid namespace, the script that would outlive it."""
        pid = self.process.pid
        scripts = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self.process.kill()
        for script in scripts:
            os.kill(int(script), signal.SIGKILL)

    def send(self, kind: int, payload: bytes) -> None:
        self.channel.sendall(len(payload).to_bytes(4, "big") + bytes([kind]) + payload)

    def send_message(self, message: object) -> None:
        self.send(1, json.dumps(message).encode())

    def send_request(self, message: object, contents: Sequence[bytes]) -> None:
        self.send_message(message)
        for content in contents:
            for at in range(0, len(content), 65536):
                self.send(2, content[at : at + 65536])

    def messages(self) -> Iterator[dict[str, Any]]:
        """Every message until the runner closes the channel."""
        while True:
            header = self._receive(5)
            if not header:
                return
            if header[4] != 1:
                raise AssertionError(f"The runner sent a frame of kind {header[4]}.")
            yield json.loads(self._receive(int.from_bytes(header[:4], "big")))

    def next_message(self) -> dict[str, Any]:
        return next(self.messages())

    def _receive(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            try:
                piece = self.channel.recv(length - len(received))
            except ConnectionResetError:  # it ended without having read all that we sent
                break
            if not piece:
                break
            received += piece
        return received

    def finish(self, stdin: bytes | None = None) -> Outcome:
        """Waits for the end of the runner and of its streams."""
        out, err = self.process.communicate(stdin, timeout=DEADLINE_S)
        return Outcome(list(self.messages()), self.process.returncode, out or b"", err or b"")

    def close(self) -> None:
        self._watchdog.cancel()
        self.channel.close()
        if self.process.poll() is None:
            self._kill()
        self.process.wait(timeout=DEADLINE_S)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def _spawn(argv: Sequence[str], channel: socket.socket, options: Any, env: Mapping[str, str]) -> subprocess.Popen:
    """Starts a program with ``channel`` as its descriptor 3 and nothing else beyond 0, 1 and 2."""
    # Not by a preexec_fn: descriptor 3 may be the pipe on which subprocess reports its errors. Not by dash:
    # it cannot close descriptors above 9.
    number = channel.fileno()
    command = f'exec "$@" 3<&{number} {number}<&-' if number != 3 else 'exec "$@"'
    return subprocess.Popen(
        ["/bin/bash", "-c", command, "bash", *argv], pass_fds=[number], env=dict(env), **options
    )


class Outcome:
    """``messages`` not yet taken, ``status`` of the runner, and what came out of the streams."""

    def __init__(self, messages: list[dict[str, Any]], status: int, out: bytes, err: bytes) -> None:
        self.messages, self.status, self.out, self.err = messages, status, out, err


def request(files: Mapping[str, bytes], **changes: Any) -> dict[str, Any]:
    """A run request for these files; the first one is the entry."""
    described = [
        {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in files.items()
    ]
    message = {
        "type": "run",
        "kind": "script",
        "entry": next(iter(files)),
        "files": described,
        "args": [],
        "env": ENVIRONMENT,
        "context": None,
        "streams": "separate",
    }
    return {**message, **changes}


def run_script(
    sandbox: Sandbox,
    source: str | bytes,
    stdin: bytes | None = None,
    more_files: Mapping[str, bytes] | None = None,
    runner_env: Mapping[str, str] = ENVIRONMENT,
    prefix: Sequence[str] = (),
    **changes: Any,
) -> Outcome:
    """Runs ``script.py`` with this source from ready to exit; ``messages`` begins with ready."""
    content = source.encode() if isinstance(source, str) else source
    files = {"script.py": content, **(more_files or {})}
    options = {} if stdin is None else {"stdin": subprocess.PIPE}
    runner = Runner(sandbox, runner_env, prefix, **options)
    try:
        ready = runner.next_message()
        runner.send_request(request(files, **changes), list(files.values()))
        outcome = runner.finish(stdin)
        outcome.messages.insert(0, ready)
        return outcome
    finally:
        runner.close()
