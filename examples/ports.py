"""Ports of this machine for workers that run on it together."""

import socket


def free_ports(count):
    """As many numbers of ports that nothing listens at."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
