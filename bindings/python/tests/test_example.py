"""examples/duplicates.py: what it finds, and that it can be ended. examples/chat.py: what its clients hear. And the loop
of asyncio in examples/host_loop."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLE = os.path.join(HERE, "..", "examples", "duplicates.py")
CHAT = os.path.join(HERE, "..", "examples", "chat.py")
HOST_LOOP = os.path.join(HERE, "..", "..", "..", "examples", "host_loop", "asyncio_loop.py")


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, EXAMPLE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


class Duplicates(unittest.TestCase):
    def test_finds_them(self):
        with tempfile.TemporaryDirectory() as top:
            for i in range(300):
                directory = os.path.join(top, str(i % 7))
                os.makedirs(directory, exist_ok=True)
                with open(os.path.join(directory, str(i)), "w") as f:
                    f.write("same" if i in (3, 20, 99) else "twin" if i in (4, 5) else f"{i:4}" if i % 2 else "x" * i)
            program = start(top)
            out, err = program.communicate(timeout=120)
            self.assertEqual((program.returncode, err), (0, ""))
            groups = [sorted(int(os.path.basename(p)) for p in g.split("\n")) for g in out.strip().split("\n\n")]
            self.assertEqual(sorted(groups), [[3, 20, 99], [4, 5]])

    def endless(self):
        directory = tempfile.TemporaryDirectory()
        for name in "ab":  # large, and nothing on the disk
            with open(os.path.join(directory.name, name), "wb") as f:
                f.truncate(1 << 42)
        return directory

    def test_timeout(self):
        with self.endless() as top:
            program = start("--timeout", "0.2", top)
            out, err = program.communicate(timeout=120)
            self.assertEqual((program.returncode, out, err), (1, "", "incomplete: it was interrupted\n"))

    def test_interrupt(self):
        with self.endless() as top:
            program = start(top)
            while program.poll() is None and not any(p.startswith(os.path.realpath(top)) for p in open_files(program.pid)):
                pass  # until it hashes
            program.send_signal(signal.SIGINT)
            out, err = program.communicate(timeout=120)
            self.assertEqual((program.returncode, out, err), (1, "", "incomplete: it was interrupted\n"))


class Chat(unittest.TestCase):
    def client(self, port):
        sock = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.addCleanup(sock.close)
        file = sock.makefile("rw", newline="\n")
        self.addCleanup(file.close)
        return sock, file

    def test_lines_go_to_all_others(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            program = subprocess.Popen([sys.executable, CHAT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            port = int(program.stdout.readline().split()[1])
            (_, first), (_, second) = self.client(port), self.client(port)
            self.assertEqual(first.readline(), "client 2 came\n")
            third_socket, third = self.client(port)
            self.assertEqual([first.readline(), second.readline()], ["client 3 came\n"] * 2)
            first.write("hello\n")
            first.flush()
            self.assertEqual([second.readline(), third.readline()], ["client 1: hello\n"] * 2)
            third_socket.shutdown(socket.SHUT_WR)
            self.assertEqual([first.readline(), second.readline(), third.readline()], ["client 3 left\n"] * 2 + [""])
            program.send_signal(number)
            out, err = program.communicate(timeout=120)
            self.assertEqual((program.returncode, out, err), (0, "ended\n", ""))
            self.assertEqual([first.readline(), second.readline()], ["", ""])

    def test_clients_that_do_not_read_are_dropped(self):
        program = subprocess.Popen([sys.executable, CHAT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        port = int(program.stdout.readline().split()[1])
        (silent, _), (talks, _) = self.client(port), self.client(port)
        while True:
            try:
                talks.sendall(b"x" * 900 + b"\n")
                silent.sendall(b"?\n")
            except OSError:
                break  # the connection of one is closed: neither reads
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=120)
        self.assertEqual((program.returncode, out, err), (0, "ended\n", ""))


class HostLoop(unittest.TestCase):
    def test_asyncio(self):
        done = subprocess.run([sys.executable, HOST_LOOP], capture_output=True, text=True, timeout=120)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "20 squares, on one thread\n", ""))


def open_files(pid):
    directory = f"/proc/{pid}/fd"
    for fd in os.listdir(directory):
        try:
            yield os.readlink(os.path.join(directory, fd))
        except FileNotFoundError:
            pass  # closed meanwhile


if __name__ == "__main__":
    unittest.main()
