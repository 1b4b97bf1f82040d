"""A script sees what it would see under ``python3 script.py``: both are run, and everything is compared."""

from __future__ import annotations

import re
import signal
import subprocess
import textwrap
import unittest

from tests.driver import DEADLINE_S, ENVIRONMENT, PYTHON, Sandbox, as_sandbox_user, run_script

SCRIPTS = {
    "nothing": "",
    "error in nested calls": """
        def inner(x):
            return 1 / x
        def outer():
            inner(0)
        outer()
    """,
    "chained errors": """
        try:
            {}["a"]
        except KeyError as error:
            raise ValueError("b") from error
    """,
    "error while handling an error": """
        try:
            1 / 0
        except ZeroDivisionError:
            undefined
    """,
    "syntax error": "x = (1,\n",
    "indentation error": "if True:\nx = 1\n",
    "syntax error in eval": "eval('1 +')",
    "endless recursion": """
        def f():
            f()
        f()
    """,
    "exit with text": "import sys; sys.exit('what went wrong')",
    "exit with a number": "import sys; sys.exit(3)",
    "exit with 256 and more": "import sys; sys.exit(259)",
    "exit with -1": "import sys; sys.exit(-1)",
    "exit with nothing": "import sys; sys.exit()",
    "exit with a tuple": "raise SystemExit((1, 2))",
    "exit by the builtin of site": "exit(4)",
    "exit during handling": """
        try:
            1 / 0
        except ZeroDivisionError:
            raise SystemExit(5)
    """,
    "exit at once": "import os; print('lost', end=''); os._exit(7)",
    "keyboard interrupt": "raise KeyboardInterrupt",
    "interrupted by a real signal": "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
    "generator exit": "raise GeneratorExit",
    "abort": "import os; os.abort()",
    "segmentation fault": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "pipe signal is ignored, as Python does": """
        import os, signal
        os.kill(os.getpid(), signal.SIGPIPE)
        print('alive', signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
        print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
    """,
    "real-time signal": "import os; os.kill(os.getpid(), 40)",
    "at exit, in order": """
        import atexit, threading, time
        atexit.register(print, 'first registered')
        atexit.register(print, 'second registered')
        gate = threading.Event()
        threading.Thread(target=lambda: (gate.wait(), print('thread done'))).start()
        print('main done')
        gate.set()
    """,
    "error, then at exit": """
        import atexit
        atexit.register(print, 'still called')
        raise RuntimeError('x')
    """,
    "daemon thread does not hold up the end": """
        import threading
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        print('end')
    """,
    "error in a thread": """
        import threading
        thread = threading.Thread(target=lambda: 1 / 0, name='T')
        thread.start()
        thread.join()
        print('main goes on')
    """,
    "finaliser at the end": """
        class Noisy:
            def __del__(self):
                print('finalised', __name__)
        noisy = Noisy()
    """,
    "hook of its own": """
        import sys
        def hook(kind, value, trace):
            print('hook', kind, value, trace.tb_lineno, trace.tb_next, sys.last_traceback is trace)
        sys.excepthook = hook
        raise ValueError('x')
    """,
    "traceback as text": """
        import traceback
        try:
            1 / 0
        except ZeroDivisionError:
            print(traceback.format_exc())
    """,
    "warning": "import warnings; warnings.warn('careful')",
    "closed output at the end": "import os; print('x', end=''); os.close(1)",
    "broken pipe at the end": """
        import os
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, 1)
        print('x', end='')
    """,
    "bytes that are not UTF-8": r"""
        import os, sys
        os.write(1, bytes(range(256)))
        sys.stderr.buffer.write(bytes(reversed(range(256))))
        sys.stdout.buffer.write(b'\xff\xfe')
        print('\udcff\xe4')
        print('\udcff', file=sys.stderr)
    """,
    "names of the main module": """
        import sys
        print(sorted(globals()), __name__, __file__, __spec__, __package__, __doc__, __cached__)
        print(__builtins__, type(__loader__).__name__ + str(sys.modules['__main__'].__dict__ is globals()))
    """,
    "arguments and directories": """
        import os, sys
        print(sys.argv, os.getcwd(), sys.executable, sys.prefix, sys.orig_argv[1:])
        print([item for item in sys.path if not item.endswith('/lib')])
    """,
    "streams": """
        import sys
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            print(stream.name, stream.mode, stream.encoding, stream.errors, stream.fileno(), stream.isatty())
        print(sys.stdin.read())
    """,
    "environment": "import os; print(sorted(k for k in os.environ if not k.startswith('SLIPWAY_')))",
    "subprocess": """
        import subprocess, sys
        run = subprocess.run([sys.executable, '-c', 'import sys; print(sys.path[1:], sys.flags); sys.exit(9)'])
        print(subprocess.check_output('echo $LANG; exit 0', shell=True), run.returncode)
    """,
    "asyncio": """
        import asyncio
        async def main():
            process = await asyncio.create_subprocess_exec('true')
            print(await process.wait())
            raise ValueError('x')
        asyncio.run(main())
    """,
    "source of its own functions": """
        import inspect, pickle
        def f():
            return 1  # a comment
        class C: pass
        print(inspect.getsource(f), pickle.loads(pickle.dumps(C)) is C, type(C()).__module__)
    """,
}

for _method in ("fork", "spawn", "forkserver"):
    SCRIPTS[f"multiprocessing by {_method}"] = f"""
        import multiprocessing as mp
        def square(x):
            return x * x
        def fail(x):
            raise ValueError(x)
        if __name__ == '__main__':
            with mp.get_context('{_method}').Pool(2) as pool:
                print(pool.map(square, range(5)), flush=True)
                pool.map(fail, [7])
    """


def _without_depth(text: bytes) -> str:
    """A script begins two calls deeper than in plain Python: RecursionErrors come two calls sooner."""
    return re.sub(r"repeated 99\d more", "repeated 99? more", text.decode("latin-1"))


class Fidelity(unittest.TestCase):
    maxDiff = None

    def test_the_same_as_plain_python(self) -> None:
        for name, source in SCRIPTS.items():
            with self.subTest(name):
                self._compare(textwrap.dedent(source))

    def _compare(self, source: str) -> None:
        sandbox = Sandbox()
        self.addCleanup(sandbox.close)
        outcome = run_script(sandbox, source, stdin=b"some input", args=["a", "b c"])
        plain = subprocess.run(
            [PYTHON, str(sandbox.code / "script.py"), "a", "b c"],
            input=b"some input",
            capture_output=True,
            cwd=sandbox.work,
            env=ENVIRONMENT,
            timeout=DEADLINE_S,
            **as_sandbox_user(),
        )
        self.assertEqual(outcome.out.decode("latin-1"), plain.stdout.decode("latin-1"))
        self.assertEqual(_without_depth(outcome.err), _without_depth(plain.stderr))
        code = plain.returncode
        self.assertEqual(outcome.status, code if code >= 0 else 128 - code)
        named = -code in range(1, 32)
        ended = {"signal": signal.Signals(-code).name} if named else {"code": outcome.status}
        self.assertEqual(outcome.messages[1:], [{"type": "started"}, {"type": "exit", **ended}])


if __name__ == "__main__":
    unittest.main()
