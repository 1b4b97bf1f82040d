"""The control: runs a program on the host as root, in scratch namespaces, so that what succeeds harms nothing.

Run as `unshare --mount --uts --ipc --net --pid --cgroup --fork --mount-proc --propagation private python3
outside.py PROGRAM ARGUMENT...`. Every address that a probe tries is on this namespace's loopback, with a listener.
"""
import os
import socket
import subprocess
import sys
import threading

from probe import only_in_scratch

ADDRESSES = ("169.254.169.254/32", "8.8.8.8/32", "192.0.2.1/32", "fd00:ec2::254/128")
SCRATCH = "/mnt"


def main() -> None:
    only_in_scratch()
    programs = os.path.dirname(os.path.abspath(__file__))
    copies = {name: open(os.path.join(programs, name), "rb").read() for name in os.listdir(programs) if name.endswith(".py")}
    for place in (SCRATCH, "/tmp", "/dev/shm"):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "none", place], check=True)
    for name, content in copies.items():
        with open(os.path.join(SCRATCH, name), "wb") as file:
            file.write(content)
    name_the_cloud()
    raise_network()
    keep_names_of_devices()
    if os.fork() == 0:
        listen()
    os.chdir(SCRATCH)
    program, *rest = sys.argv[1:]
    os.execv(sys.executable, [sys.executable, "-B", f"{SCRATCH}/{program}.py", *rest])


def name_the_cloud() -> None:
    """A hosts file that only this mount namespace sees."""
    with open(f"{SCRATCH}/hosts", "w") as hosts:
        hosts.write("127.0.0.1 localhost\n169.254.169.254 metadata.google.internal\n")
    subprocess.run(["mount", "--bind", f"{SCRATCH}/hosts", "/etc/hosts"], check=True)


def raise_network() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in ADDRESSES:
        subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True)


def keep_names_of_devices() -> None:
    """A device node outside of /dev, for the probe that looks for them."""
    os.mknod(f"{SCRATCH}/node", 0o20600, os.makedev(1, 3))


def listen() -> None:
    """Accepts on port 80 of every address; answers one datagram after the other on port 53."""
    both = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    both.bind(("::", 80))
    both.listen(64)
    threading.Thread(target=accept, args=(both,), daemon=True).start()
    resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    resolver.bind(("8.8.8.8", 53))
    while True:
        question, sender = resolver.recvfrom(512)
        resolver.sendto(question, sender)


def accept(listener: socket.socket) -> None:
    while True:
        listener.accept()[0].close()


if __name__ == "__main__":
    main()
