"""What happens to the process as a whole: Ctrl-C, fork, its end."""

import os
import sys
import unittest

from programs import run

# SIGINT as soon as the main thread waits
INTERRUPT = """
import gomax, os, signal, threading, time
from gomax import _waits
def interrupt(number=signal.SIGINT):
    while not _waits._interrupts.waiting:
        time.sleep(0.0001)
    os.kill(os.getpid(), number)
threading.Thread(target=interrupt, daemon=True).start()
def interrupted(fn, *args):
    try:
        fn(*args)
    except KeyboardInterrupt:
        print("interrupted")
"""


class Interrupt(unittest.TestCase):
    def test_waits_end(self):
        for wait in (
            "gomax.Channel().recv",
            "gomax.Channel().send, 1",
            "gomax.Channel().recv, 1000",
            "gomax.select, gomax.Channel(), gomax.after(1000)",
            "gomax.sleep, 1000",
            "gomax.go(gomax.Channel().recv).join",
            "gomax.go_c(gomax.gmx.gmx_sema_acquire, gomax.Semaphore()).join",
            "gomax.WaitGroup(1).wait",
            "gomax.Semaphore().acquire",
            "gomax.after(1000).recv",
            "gomax.CChannel(gomax._abi.c_int).recv",
            "gomax.CChannel(gomax._abi.c_int).send, 1",
            "gomax.select, (gomax.CChannel(gomax._abi.c_int), 1)",
        ):
            with self.subTest(wait=wait):
                self.assertEqual(run(INTERRUPT + f"interrupted({wait})\n"), "interrupted\n")

    def test_again_and_again(self):
        text = INTERRUPT + """
for _ in range(20):
    interrupted(gomax.Channel().recv)
    threading.Thread(target=interrupt, daemon=True).start()
interrupted(gomax.sleep, 1000)
"""
        self.assertEqual(run(text), "interrupted\n" * 21)

    def test_other_signals_do_not_end_a_wait(self):
        text = """
import gomax, os, signal, threading
n = 0
def handler(number, frame):
    global n
    n += 1
    if n < 50:
        gomax.go(os.kill, os.getpid(), signal.SIGUSR1)
    else:
        gomax.go(c.send, n)
signal.signal(signal.SIGUSR1, handler)
c = gomax.Channel()
gomax.go(os.kill, os.getpid(), signal.SIGUSR1)
print(c.recv(1000), signal.set_wakeup_fd(-1))
"""
        self.assertEqual(run(text), "50 -1\n")

    def test_handlers_may_wait(self):
        text = """
import gomax, os, signal
depth = 0
def handler(number, frame):
    global depth
    depth += 1
    if depth < 5:
        gomax.go(os.kill, os.getpid(), signal.SIGUSR1)
        times_out() if depth % 2 else inner()
    gomax.sleep(0.001)
    with gomax.scope() as s:
        gomax.check_canceled()
        assert s.go(int).join() == 0
    c.send(depth, 60)
def times_out():
    try:
        gomax.Channel().recv(0.05)
    except TimeoutError:
        pass
def inner():
    with gomax.scope():
        times_out()
c = gomax.Channel(5)
signal.signal(signal.SIGUSR1, handler)
gomax.go(os.kill, os.getpid(), signal.SIGUSR1)
got = []
def collect():
    for _ in range(5):
        got.append(c.recv(60))
    done.send(1)
done = gomax.Channel()
gomax.go(collect)
done.recv()
gomax.sleep(0.001)
assert not gomax.canceled()
print(got, signal.set_wakeup_fd(-1))
"""
        self.assertEqual(run(text), "[5, 5, 5, 5, 5] -1\n")

    def test_scope_is_canceled(self):
        text = INTERRUPT + """
def scope():
    with gomax.scope() as s:
        for _ in range(5):
            s.go(gomax.sleep, 1000)
interrupted(scope)
"""
        self.assertEqual(run(text), "interrupted\n")

    def test_asyncio_keeps_its_descriptor(self):
        text = """
import asyncio, gomax, os, signal
async def main():
    c, seen = gomax.Channel(), gomax.Channel(1)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, seen.send, "handled")
    g = gomax.go(lambda: (os.kill(os.getpid(), signal.SIGUSR1), gomax.sleep(0.01), c.send(1)))
    c.recv()  # what a coroutine should not do
    print(await seen.recv_async())
asyncio.run(main())
"""
        self.assertEqual(run(text), "handled\n")


CHILD = """
import gomax, os, sys, threading, faulthandler
faulthandler.dump_traceback_later(60, exit=True)
def wait_for(pid):
    status = os.waitpid(pid, 0)[1]
    assert status == 0, status
def afresh():
    c = gomax.Channel(1)
    with gomax.scope() as s:
        s.go(c.send, 5)
        assert c.recv() == 5
    assert [gomax.go(lambda i=i: i).join() for i in range(10)] == list(range(10))
    gomax.for_each_p(lambda p: None)
    gomax.go_c(gomax.gmx.gmx_sema_release, gomax.Semaphore()).join()
    try:
        c.recv(0.001)
    except TimeoutError:
        pass
"""


class Fork(unittest.TestCase):
    def test_child_starts_afresh(self):
        text = CHILD + """
c, other = gomax.Channel(), gomax.Channel()
waits = [gomax.go(c.recv) for _ in range(5)]
for i in range(10):
    pid = os.fork()
    if pid == 0:
        afresh()
        for use in (c.recv, lambda: c.send(1), c.close, waits[0].join, lambda: gomax.select(c, other)):
            try:
                use()
            except gomax.ForkedError:
                continue
            os._exit(1)
        del c, other, waits
        os._exit(0)
    wait_for(pid)
for i in range(5):
    c.send(i)
print(sorted(g.join() for g in waits))
"""
        self.assertEqual(run(text), "[0, 1, 2, 3, 4]\n")

    def test_from_goroutines_while_everything_runs(self):
        text = CHILD + """
c = gomax.Channel(3)
quit = False
def sends():
    while not quit:
        c.send(1)
def receives():
    while not quit:
        c.recv()
def forks():
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            afresh()
            try:
                c.recv()
            except gomax.ForkedError:
                os._exit(0)
            os._exit(1)
        wait_for(pid)
for _ in range(3):
    gomax.go(sends), gomax.go(receives)
for g in [gomax.go(forks) for _ in range(3)]:
    g.join()
forks()
print("done")
"""
        self.assertEqual(run(text), "done\n")

    def test_multiprocessing(self):
        text = CHILD + """
import multiprocessing
if __name__ == "__main__":
    gomax.go(int).join()
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=afresh) for _ in range(4)]
    for p in processes:
        p.start()
    for p in processes:
        p.join()
        assert p.exitcode == 0, p.exitcode
    print("done")
"""
        self.assertEqual(run(text), "done\n")

    def test_while_the_main_thread_waits(self):
        text = CHILD + """
import signal, time
from gomax import _waits
def forks():
    while not _waits._interrupts.waiting:
        time.sleep(0.0001)
    pid = os.fork()
    if pid == 0:
        afresh()
        os._exit(0 if signal.set_wakeup_fd(-1) == -1 else 1)
    wait_for(pid)
    return "done"
print(gomax.go(forks).join())
"""
        self.assertEqual(run(text), "done\n")


class Exit(unittest.TestCase):
    def test_goroutines_alive(self):
        text = """
import gomax, sys
c, started = gomax.Channel(), gomax.Channel(100)
def wait():
    started.send(1)
    c.recv()
def compute():
    started.send(1)
    while True:
        sum(range(100))
def come_and_go():
    started.send(1)
    while True:
        gomax.sleep(0.0001)
def talk():
    started.send(1)
    d = gomax.Channel(1)
    while True:
        d.send(object())
        d.recv()
def spawn():
    started.send(1)
    while True:
        gomax.go_c(gomax.gmx.gmx_sema_release, s.address)
s = gomax.Semaphore()
for fn in (wait, compute, come_and_go, talk, spawn):
    for _ in range(2):
        gomax.go(fn)
for _ in range(10):
    started.recv()
gomax.go_c(gomax.gmx.gmx_sema_acquire, gomax.Semaphore())
print("end")
"""
        for _ in range(5):
            self.assertEqual(run(text), "end\n")
        self.assertEqual(run(text + "sys.exit(3)\n", expect=3), "end\n")

    def test_barriers_under_way(self):
        text = """
import gomax
started = gomax.Channel(10)
def barriers():
    while True:
        gomax.for_each_p(lambda p: None)
        try:
            started.send(1, timeout=0)
        except TimeoutError:
            pass
for _ in range(3):
    gomax.go(barriers)
for _ in range(10):
    started.recv()
print("end")
"""
        for _ in range(5):
            self.assertEqual(run(text), "end\n")

    def test_nothing_is_started_by_import(self):
        text = """
import gomax, threading, os
print(threading.active_count(), len(os.listdir("/proc/self/task")))
"""
        self.assertEqual(run(text), "1 1\n")

    def test_channels_at_the_end(self):
        text = """
import atexit, gomax
c = gomax.Channel(5)
c.send(c)
t = gomax.Ticker(0.0001)
g = gomax.go(lambda: 1)
atexit.register(lambda: print(c.recv() is c, g.join(), t.recv() > 0))
"""
        self.assertEqual(run(text), "True 1 True\n")


class SubInterpreters(unittest.TestCase):
    def test_are_refused(self):
        """At the import, before a thread of the library is in an interpreter that can end."""
        text = """
import sys
import gomax
code = "import sys; sys.path[:] = %r\\ntry:\\n import gomax\\nexcept ImportError as e:\\n print(e)" % (sys.path,)
for name in "_interpreters", "_xxsubinterpreters":  # 3.13 and before; those that share the GIL, and those that do not
    try:
        interpreters = __import__(name)
    except ImportError:
        continue
    kinds = [("legacy",), ("isolated",)] if sys.version_info >= (3, 13) else [()] if sys.version_info < (3, 12) else [(), (True,)]
    for kind in kinds:
        id = interpreters.create(*kind)
        interpreters.run_string(id, code)
        interpreters.destroy(id)
    break
print(gomax.go(int).join())
"""
        *refused, last = run(text).splitlines()
        self.assertEqual(last, "0")
        self.assertTrue(refused and all("interpreter" in line for line in refused), refused)


if __name__ == "__main__":
    unittest.main()
