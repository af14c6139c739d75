"""Connections whose waits a token, a scope, a deadline or a close ends. See docs/python.md of libgomax."""

from ._addresses import Address, getaddrinfo
from ._conns import Conn
from ._copies import copy
from ._descriptors import ClosedError, Descriptor, wait_fd
from ._dial_async import dial_async
from ._listeners import Listener, dial, listen_inherit, listen_tcp, listen_unix, udp_open

__all__ = [
    "Address",
    "ClosedError",
    "Conn",
    "Descriptor",
    "Listener",
    "copy",
    "dial",
    "dial_async",
    "getaddrinfo",
    "listen_inherit",
    "listen_tcp",
    "listen_unix",
    "udp_open",
    "wait_fd",
]
