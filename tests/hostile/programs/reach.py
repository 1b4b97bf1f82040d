"""Tries to reach services: `tcp://host:port`, `abstract:name`, `path:/socket`. Prints JSON: {target: word}."""
import json
import socket
import sys

from probe import word


def reach(target: str) -> None:
    if target.startswith("tcp://"):
        host, port = target[6:].rsplit(":", 1)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        connect(family, (host.strip("[]"), int(port)))
    elif target.startswith("abstract:"):
        connect(socket.AF_UNIX, "\0" + target[9:])
    else:
        connect(socket.AF_UNIX, target[5:])


def connect(family: int, address: object) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        client.connect(address)
        if client.recv(2) != b"hi":
            raise OSError(61, "silent")


print(json.dumps({target: word(lambda: reach(target)) for target in sys.argv[1:]}))
