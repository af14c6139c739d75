"""A chat: each line that a client writes goes to all the others.

    python chat.py [--host HOST] [--port PORT]        and then, in other terminals: nc HOST PORT

Each client has two goroutines. One reads its lines and sends them to the hub; one takes from the client's own channel
and writes. The hub, on the main thread, does one thing at a time, so nothing of it needs a lock. A client that reads so
slowly that its channel is full or a write takes too long is dropped. Ctrl-C or SIGTERM ends the scope: every wait ends,
and every connection is closed.
"""

import argparse
import signal
import sys

import gomax
from gomax import net

SLOW = 5.0  # seconds that one write may take
BACKLOG = 100  # lines that may wait for one client
LONGEST = 1000  # bytes of a line


class Client:
    def __init__(self, conn, number):
        self.conn = conn
        self.name = b"client %d" % number
        self.lines = gomax.Channel(BACKLOG)  # for this client

    def reads(self, said):
        """Sends each line to the hub, and None when the client has gone."""
        try:
            with self.conn.makefile("rb") as file:
                while line := file.readline(LONGEST):
                    said.send((self, line.rstrip(b"\r\n")))
        except OSError:
            pass  # it has gone, or was dropped
        said.send((self, None))

    def writes(self):
        with self.conn:
            try:
                for line in self.lines:
                    self.conn.writev([line, b"\n"], timeout=SLOW)
            except OSError:
                pass
            finally:
                self.conn.set_deadline(0)  # which ends `reads`, if that waits


def accepts(listener, came):
    for number, conn in enumerate(listener, 1):
        came.send(Client(conn, number))


def hub(listener):
    came, said = gomax.Channel(), gomax.Channel()
    clients = set()

    def tell(line, but=None):
        for client in clients - {but}:
            try:
                client.lines.send_nowait(line)
            except gomax.WouldBlockError:
                client.lines.close(drop=True)  # it is too slow
                clients.discard(client)

    with gomax.scope() as scope:
        scope.go(accepts, listener, came)
        while True:
            case, value, _ = gomax.select(came, said)
            if case == 0:
                clients.add(value)
                scope.go(value.reads, said)
                scope.go(value.writes)
                tell(value.name + b" came", value)
                continue
            client, line = value
            if line is not None:
                tell(client.name + b": " + line, client)
            elif client in clients:
                clients.discard(client)
                client.lines.close()
                tell(client.name + b" left")


def main():
    parser = argparse.ArgumentParser(description="A chat server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with net.listen_tcp(options.host, options.port, patient=True) as listener:
        print("port", listener.getsockname()[1], flush=True)
        try:
            hub(listener)
        except KeyboardInterrupt:
            print("ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
