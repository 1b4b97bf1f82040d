"""What a runner could do with its end of the channel, a socket whose other end is the starter's. With an
argument: the control, on a pair of its own.
"""
import array
import fcntl
import json
import os
import signal
import socket
import struct
import sys

from probe import raw, word

SO_PEERCRED, SO_PEERPIDFD, SCM_RIGHTS = 17, 77, 1
GET_NET_NAMESPACE = 0xFF04  # of a pidfd
pair = [socket.socket(fileno=3)] if len(sys.argv) == 1 else list(socket.socketpair())
channel = pair[0]


def peer_pid() -> int:
    """The process at the other end; 0 where it lies outside of this process namespace."""
    return struct.unpack("=iII", channel.getsockopt(socket.SOL_SOCKET, SO_PEERCRED, 12))[0]


def peer() -> int:
    """A descriptor of that process, which a kernel since 6.5 gives away."""
    return struct.unpack("=i", channel.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD, 4))[0]


def send_descriptors() -> None:
    """Directories, 50 messages of 100: do they stay open at the other end?"""
    rights = array.array("i", [os.open("/", os.O_RDONLY)] * 100)
    for _ in range(50):
        channel.sendmsg([b"x"], [(socket.SOL_SOCKET, SCM_RIGHTS, rights)])
        if len(pair) == 2:
            pair[1].recv(1)


answers = {
    "peer_is_seen": "OK" if peer_pid() else "hidden",
    "signal_to_peer": word(lambda: signal.pidfd_send_signal(peer(), 0)),
    "files_of_peer": word(lambda: raw("pidfd_getfd", peer(), 0, 0)),
    "namespaces_of_peer": word(lambda: fcntl.ioctl(peer(), GET_NET_NAMESPACE)),
    "enter_peer": word(lambda: raw("setns", peer(), 0x04000000)),
    "descriptors_sent": word(send_descriptors),
    "out_of_band": word(lambda: channel.send(b"!", socket.MSG_OOB)),
}
print(json.dumps(answers), flush=True)
if len(pair) == 1:
    channel.recv(1)
