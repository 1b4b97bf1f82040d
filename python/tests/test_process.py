"""Process 1: signals, orphans, hostile scripts, and a channel that no script can touch."""

from __future__ import annotations

import os
import signal
import subprocess
import unittest
from pathlib import Path

from tests.driver import SANDBOX_ID, Outcome, run_script, request
from tests.test_requests import WithSandbox

#: Makes the runner process 1 of a pid namespace with its own /proc, as in a sandbox.
NAMESPACE = ["unshare", "--pid", "--mount-proc", "--fork", "--kill-child"]
if os.geteuid() == 0:
    NAMESPACE += ["setpriv", f"--reuid={SANDBOX_ID}", f"--regid={SANDBOX_ID}", "--clear-groups", "--"]
else:
    NAMESPACE[1:1] = ["--user", "--map-current-user"]

REACH = """
import ctypes, os, socket, stat, subprocess

libc = ctypes.CDLL(None, use_errno=True)
PIDFD_GETFD = 438

def reach(pid, descriptor):
    '''Which ways lead from here to a descriptor and the memory of another process.'''
    ways = []
    try:
        if os.listdir(f'/proc/{pid}/fd'):
            ways.append('list')
    except OSError:
        pass
    try:
        os.close(os.open(f'/proc/{pid}/mem', os.O_RDWR))
        ways.append('memory')
    except OSError:
        pass
    handle = os.pidfd_open(pid)
    taken = libc.syscall(PIDFD_GETFD, handle, descriptor, 0)
    os.close(handle)
    if taken >= 0:
        os.close(taken)
        ways.append('take')
    try:
        with open(f'/proc/{pid}/oom_score_adj', 'w') as file:
            file.write('1000')
        ways.append('oom')
    except OSError:
        pass
    return ways

def sockets():
    '''Descriptors that are sockets.'''
    found = []
    for number in range(1024):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                found.append(number)
        except OSError:
            pass
    return found

# the control: the same probes against a process of the same user that does not protect itself
a, b = socket.socketpair()
print(sorted(sockets()) == sorted([a.fileno(), b.fileno()]))
child = subprocess.Popen(['sleep', '1000'], pass_fds=[a.fileno()])
print(reach(child.pid, a.fileno()))
child.kill()
a.close()
b.close()
print(sockets())
print(reach(os.getppid(), 3))
"""


class Signals(WithSandbox):
    def _run_and_signal(self, source: str, number: int) -> Outcome:
        """Sends a signal to process 1 once the script has printed its first line."""
        runner = self.start()
        files = {"script.py": source.encode()}
        runner.send_request(request(files), [*files.values()])
        self.assertEqual(runner.process.stdout.readline(), b"go\n")
        runner.process.send_signal(number)
        return runner.finish()

    def test_forwarded_signals_end_the_script(self) -> None:
        source = "import signal; print('go', flush=True); signal.pause()"
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            with self.subTest(number.name):
                self.setUp()
                outcome = self._run_and_signal(source, number)
                self.assertEqual(outcome.messages[-1], {"type": "exit", "signal": number.name})
                self.assertEqual(outcome.status, 128 + number)
                self.assertEqual(b"KeyboardInterrupt" in outcome.err, number == signal.SIGINT)

    def test_a_script_can_handle_a_forwarded_signal(self) -> None:
        source = """
import signal, sys
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(40 + number))
print('go', flush=True)
signal.pause()
"""
        self.assertEqual(self._run_and_signal(source, signal.SIGTERM).messages[-1], {"type": "exit", "code": 55})

    def test_the_whole_group_of_the_script_gets_the_signal(self) -> None:
        source = """
import signal, subprocess
signal.signal(signal.SIGTERM, lambda number, frame: None)
child = subprocess.Popen(['sleep', '1000'])
print('go', flush=True)
print(child.wait())
"""
        outcome = self._run_and_signal(source, signal.SIGTERM)
        self.assertEqual((outcome.out, outcome.status), (b"-15\n", 0))

    def test_a_signal_right_after_the_start_is_not_lost(self) -> None:
        for _ in range(20):
            self.setUp()
            runner = self.start()
            files = {"script.py": b"import signal; signal.pause()"}
            runner.send_request(request(files), [*files.values()])
            self.assertEqual(runner.next_message(), {"type": "started"})
            runner.process.send_signal(signal.SIGTERM)
            self.assertEqual(runner.finish().status, 128 + signal.SIGTERM)

    def test_a_script_that_fills_its_pipe_can_be_stopped(self) -> None:
        runner = self.start()
        files = {"script.py": b"while True: print('x' * 1000)"}
        runner.send_request(request(files), [*files.values()])
        self.assertEqual(runner.next_message(), {"type": "started"})
        runner.process.send_signal(signal.SIGTERM)
        self.assertEqual(runner.next_message(), {"type": "exit", "signal": "SIGTERM"})

    def test_a_starter_that_has_gone_does_not_end_the_script(self) -> None:
        runner = self.start(stdin=subprocess.PIPE)
        files = {"script.py": b"print('go', flush=True); print(input()); raise SystemExit(8)"}
        runner.send_request(request(files), [*files.values()])
        self.assertEqual(runner.process.stdout.readline(), b"go\n")
        runner.channel.close()
        out, _ = runner.process.communicate(b"on\n", timeout=60)
        self.assertEqual((out, runner.process.returncode), (b"on\n", 8))

    def test_memory_pressure_takes_the_script_first(self) -> None:
        runner = self.start(stdin=subprocess.PIPE)
        files = {"script.py": b"print(open('/proc/self/oom_score_adj').read(), end='', flush=True); input()"}
        runner.send_request(request(files), [*files.values()])
        self.assertEqual(runner.process.stdout.readline(), b"1000\n")
        own = Path("/proc/self/oom_score_adj").read_text()
        self.assertEqual(Path(f"/proc/{runner.process.pid}/oom_score_adj").read_text(), own)


class AsProcess1(WithSandbox):
    def _run(self, source: str) -> Outcome:
        return run_script(self.sandbox, source, prefix=NAMESPACE)

    def test_it_is_process_1_and_the_script_leads_a_session(self) -> None:
        outcome = self._run("import os; print(os.getppid(), os.getsid(0) == os.getpid() == os.getpgrp())")
        self.assertEqual(outcome.out, b"1 True\n", outcome.err)

    def test_no_way_leads_to_the_channel(self) -> None:
        outcome = self._run(REACH)
        control, inherited, ways = ["True", "['list', 'memory', 'take', 'oom']"], "[]", "[]"
        self.assertEqual(outcome.out.decode().split("\n"), [*control, inherited, ways, ""], outcome.err)

    def test_orphans_are_reaped(self) -> None:
        outcome = self._run("""
import os, subprocess, time
for _ in range(30):
    subprocess.run(['sh', '-c', 'true & exec true'])
def stat(pid):
    try:
        return open(f'/proc/{pid}/stat').read()
    except OSError:
        return ''  # reaped a moment ago
def zombies():
    texts = [stat(pid) for pid in os.listdir('/proc') if pid.isdigit()]
    return [text for text in texts if text.rpartition(')')[2].split()[:2] == ['Z', '1']]
deadline = time.monotonic() + 30
while zombies() and time.monotonic() < deadline:
    os.sched_yield()
print(zombies())
""")
        self.assertEqual((outcome.out, outcome.err), (b"[]\n", b""))

    def test_the_end_of_the_script_is_the_end_of_everything(self) -> None:
        outcome = self._run("""
import os, subprocess
subprocess.Popen(['sleep', '1000'], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True: os.sched_yield()
    os._exit(0)
os.wait()
raise SystemExit(9)
""")
        self.assertEqual((outcome.messages[-1], outcome.status), ({"type": "exit", "code": 9}, 9))

    def test_no_signal_of_the_script_ends_or_stops_process_1(self) -> None:
        outcome = self._run("""
import os, signal
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
for number in range(1, 65):
    if number not in (32, 33):
        os.kill(1, number)
try:
    os.kill(-1, signal.SIGKILL)
except ProcessLookupError:
    pass  # nobody there but process 1, which does not count
print('alive')
raise SystemExit(7)
""")
        self.assertEqual((outcome.out, outcome.messages[-1]), (b"alive\n", {"type": "exit", "code": 7}))

    def test_a_script_that_signals_everything_and_itself(self) -> None:
        outcome = self._run("import os, signal\nos.kill(-1, 9)\nos.kill(os.getpid(), 9)")
        self.assertEqual(outcome.messages[-1], {"type": "exit", "code": 1})  # kill(-1) finds nobody

    def test_a_flood_of_ending_children(self) -> None:
        outcome = self._run("""
import os
for _ in range(300):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(1)
os._exit(11)
""")
        self.assertEqual(outcome.messages[-1], {"type": "exit", "code": 11})

    def test_closing_every_descriptor(self) -> None:
        outcome = self._run("import os\nos.closerange(0, 4096)\nos._exit(12)")
        self.assertEqual((outcome.messages[-1], outcome.status), ({"type": "exit", "code": 12}, 12))


if __name__ == "__main__":
    unittest.main()
