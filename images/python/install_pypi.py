"""Installs the locked packages of the Python package index, one by one, by their hashes.

An index that cannot be reached leaves the package out and writes a note; anything else that goes wrong (a hash
that does not match, most of all) fails the build.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir"]
UNREACHABLE = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "SSLError",
    "ConnectionResetError",
    "No matching distribution found",
    "HTTP error",
)


def requirements(path: Path) -> list[str]:
    """The logical lines of a requirements file, without comments."""
    text = path.read_text().replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def is_unreachable(output: str) -> bool:
    return "DO NOT MATCH THE HASHES" not in output and any(sign in output for sign in UNREACHABLE)


def install(requirement: str) -> bool:
    """False when the index cannot be reached."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirement + "\n")
        file.flush()
        options = ["--no-deps", "--no-compile", "--require-hashes", "--only-binary=:all:", "--retries=1"]
        command = [*PIP, "install", *options, "--root-user-action=ignore", "-r", file.name]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(result.stdout, flush=True)
    if result.returncode == 0:
        return True
    if is_unreachable(result.stdout):
        return False
    sys.exit(f"{requirement.split()[0]} could not be installed")


def main(lock: Path, notes: Path) -> None:
    missing: list[str] = []
    for requirement in requirements(lock):
        # One attempt is enough to know that the index is out of reach.
        if missing or not install(requirement):
            missing.append(requirement.split("==")[0])
    if missing:
        with notes.open("a") as file:
            file.write(f"built without: {', '.join(missing)} (package index unreachable)\n")


main(Path(sys.argv[1]), Path(sys.argv[2]))
