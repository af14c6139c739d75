#!/usr/bin/env python3
"""Runs a program of docs/start.md: start.py COMMAND... The program must tell a host that listens from one that does
not."""
import socket
import subprocess
import sys

with socket.create_server(("127.0.0.1", 0)) as server:
    args = [str(server.getsockname()[1]), "127.0.0.1", "127.0.0.2"]
    done = subprocess.run(sys.argv[1:] + args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
said = done.stdout.decode()
if done.returncode or said != "127.0.0.1: up\n127.0.0.2: down\n":
    sys.exit(f"status {done.returncode}: {said}")
