"""Forks and ends of the program while goroutines, threads and coroutines are in each kind of wait."""

import unittest

from programs import run
from test_process import CHILD

# Each begins to wait, and gives a function that ends the wait and tells whether it went well.
WAITS = """
import asyncio

def receives():
    c = gomax.Channel()
    g = gomax.go(c.recv)
    return lambda: (c.send(1, 60), g.join(60))[1] == 1

def sends():
    c = gomax.Channel()
    g = gomax.go(c.send, 1)
    return lambda: (c.recv(60), g.join(60))[0] == 1

def selects():
    c = gomax.Channel()
    g = gomax.go(gomax.select, c, gomax.Channel(), gomax.after(1000))
    return lambda: (c.send(1, 60), g.join(60).value)[1] == 1

def locks():
    mutex = gomax.Mutex()
    mutex.acquire()
    def locked():
        with mutex:
            return 1
    g = gomax.go(locked)
    return lambda: (mutex.release(), g.join(60))[1] == 1

def condition():
    cond = gomax.Cond()
    def waits():
        with cond:
            cond.wait()
        return 1
    g = gomax.go(waits)
    def end():
        while not g.done():
            with cond:
                cond.notify_all()
            gomax.sleep(0.0001)
        return g.join() == 1
    return end

def sleeps():
    g = gomax.go(gomax.sleep, 1000)
    def end():
        g.cancel()
        try:
            g.join(60)
        except gomax.CanceledError:
            return True
    return end

def joins():
    c = gomax.Channel()
    g = gomax.go(gomax.go(c.recv).join)
    return lambda: (c.send(1, 60), g.join(60))[1] == 1

def scope():
    c = gomax.Channel()
    def runs():
        with gomax.scope() as s:
            g = s.go(c.recv)
        return g.join()
    g = gomax.go(runs)
    return lambda: (c.send(1, 60), g.join(60))[1] == 1

def c_function():
    semaphore = gomax.Semaphore()
    g = gomax.go_c(gomax.gmx.gmx_sema_acquire, semaphore)
    return lambda: (semaphore.release(), g.join(60))[1] is None

def queue():
    q = gomax.Queue()
    g = gomax.go(q.get)
    return lambda: (q.put(1), g.join(60))[1] == 1

def coroutine():
    c, got = gomax.Channel(), []
    async def main():
        got.append(await c.recv_async())
    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    while not c.waiters.receivers:
        time.sleep(0.0001)
    return lambda: (c.send(1, 60), thread.join(60), got)[2] == [1]

def scope_of_a_coroutine():
    c = gomax.Channel()
    async def main():
        async with gomax.scope() as s:
            s.go(c.recv)
    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    while not c.waiters.receivers:
        time.sleep(0.0001)
    return lambda: (c.send(1, 60), thread.join(60), not thread.is_alive())[2]

def thread():
    c = gomax.Channel()
    thread = threading.Thread(target=c.recv, daemon=True)
    thread.start()
    while not c.waiters.receivers:
        time.sleep(0.0001)
    return lambda: (c.send(1, 60), thread.join(60), not thread.is_alive())[2]

KINDS = [receives, sends, selects, locks, condition, sleeps, joins, scope, c_function, queue, coroutine, scope_of_a_coroutine,
         thread]

def until_all_wait():
    while True:
        with gomax.stopped_world() as world:
            if all(g.status in ("waiting", "parked") for g in world.goroutines()):
                return
        time.sleep(0.0001)
"""
# A child that ends as any program would wait in faulthandler for a thread that only the parent has.
PROGRAM = CHILD + "import time\nbefore_forks = faulthandler.cancel_dump_traceback_later\n" + WAITS


class Forks(unittest.TestCase):
    def test_in_each_wait(self):
        """The child works and ends as any program; the waits go on in the parent."""
        text = PROGRAM + """
ends = [kind() for kind in KINDS]
until_all_wait()
before_forks()
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        afresh()
        assert all(kind()() for kind in KINDS)
        sys.exit(0)
    wait_for(pid)
def forks():
    pid = os.fork()
    if pid == 0:
        afresh()
        os._exit(0)
    wait_for(pid)
gomax.go(forks).join()
print([end() for end in ends].count(True) == len(KINDS))
"""
        self.assertEqual(run(text), "True\n")

    def test_within_a_block(self):
        """The child leaves a block of its parent by ForkedError; an error of its own comes as it is."""
        text = PROGRAM + """
import ctypes
def forks():
    for fails in (False, True):
        c = gomax.Channel()
        try:
            with gomax.scope() as s:
                s.go(c.recv)
                s.go_c(gomax.gmx.gmx_sema_acquire, gomax.Semaphore())
                pid = os.fork()
                if pid == 0 and fails:
                    raise KeyError
                if pid:
                    wait_for(pid)
                    s.cancel()
        except (gomax.ForkedError, KeyError) as e:
            assert pid == 0 and isinstance(e, KeyError) == fails
            afresh()
            os._exit(0)
before_forks()
forks()
gomax.go(forks).join()
print("done")
"""
        self.assertEqual(run(text), "done\n")


class Exits(unittest.TestCase):
    def test_in_each_wait(self):
        text = PROGRAM + """
ends = [kind() for kind in KINDS]
until_all_wait()
print("end")
"""
        for last, status in (("", 0), ("sys.exit(3)", 3), ("del ends", 0), ("os._exit(print(end='', flush=True) or 4)", 4)):
            with self.subTest(last=last):
                self.assertEqual(run(text + last + "\n", expect=status), "end\n")

    def test_functions_of_atexit(self):
        """They may use all that needs no new thread: from 3.12 on Python starts none at the end, and says so."""
        text = PROGRAM + """
import atexit
def last():
    assert ends[0]() and ends[3]() and ends[8]()  # waits of before
    c = gomax.Channel(1)
    c.send(1)
    assert c.recv() == 1 and gomax.select((c, 2)).case == 0
    with gomax.scope(timeout=60) as s:
        gomax.sleep(0.0001)
        s.go_c(gomax.gmx.gmx_sema_release, gomax.Semaphore()) if sys.version_info < (3, 12) else None
    try:
        c.recv(0), c.recv(0.0001)
    except TimeoutError:
        pass
    for _ in range(20):
        try:
            assert gomax.go(int).join() == 0
        except RuntimeError:
            assert sys.version_info >= (3, 12)
    print("last")
atexit.register(last)
ends = [kind() for kind in KINDS]
until_all_wait()
"""
        self.assertEqual(run(text), "last\n")


if __name__ == "__main__":
    unittest.main()
