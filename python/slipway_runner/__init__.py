"""The Python runner: process 1 of a sandbox that runs one script, then ends.

What it is: a program in an image that says *ready* on an inherited descriptor, takes one request, runs the
script in one forked child and reports how that child ended. What it is not: a security boundary. The script
has the runner's user id; everything the runner says is a hint to the starter, which measures from outside.

Where to go next: ``__main__`` (the order of things), ``protocol`` (what is said; ../../docs/runner-protocol.md),
``frames`` (how it is said), ``receive`` (the script's files), ``script`` (what the script sees), ``supervise``
(process 1 while the script runs).

CPython's private accelerators (``posix``, ``_json``, ``_signal``, ``_sha256``, ``_ctypes``) are used in place
of ``os``, ``json``, ``signal``, ``hashlib`` and ``ctypes``: these cost 1, 7, 4, 1 and 4 ms, more than the rest
of the runner together.
"""

VERSION = "0.1.0"
