import gc
import socket
import threading
import time
import unittest
import weakref

import gomax
from programs import c_library, run


def until(what):
    while not what():
        time.sleep(0.0001)


def alive():
    """How many threads run goroutines."""
    from gomax import _goroutines

    workers = [t for t in threading.enumerate() if isinstance(t, _goroutines.Worker)]
    return len(workers) - len(_goroutines.pool.idle)


class Tokens(unittest.TestCase):
    def both(self, f):
        """On the main thread and on a goroutine."""
        f()
        gomax.go(f).join()

    def test_ends_what_waits_under_it(self):
        def f():
            token = gomax.Token()
            self.assertFalse(token.canceled)
            self.assertIsNone(token.reason)
            with token.use() as used:
                self.assertIs(used, token)
                gomax.sleep(0.001)
                token.cancel()
                for _ in range(2):
                    with self.assertRaises(gomax.CanceledError):
                        gomax.sleep(60)
                self.assertTrue(gomax.canceled())
                with gomax.shield():
                    gomax.sleep(0.001)
            gomax.sleep(0.001)
            self.assertTrue(token.canceled)
            self.assertIsInstance(token.reason, gomax.CanceledError)

        self.both(f)

    def test_a_wait_is_ended_by_another(self):
        token, waits = gomax.Token(), gomax.Semaphore()
        g = token.go(waits.acquire)
        until(lambda: waits.waiters == 1)
        gomax.go(token.cancel).join()
        with self.assertRaises(gomax.CanceledError):
            g.join()
        with token.use():  # and the goroutine alone was under it
            with self.assertRaises(gomax.CanceledError):
                gomax.sleep(60)
        gomax.go(gomax.sleep, 0.001).join()

    def test_reasons(self):
        first, own = gomax.Token(), gomax.Token()
        own.cancel(-5000)
        own.cancel(-5001)
        own.cancel()
        self.assertIs(type(own.reason), gomax.Error)
        self.assertEqual(own.reason.status, -5000)
        late = gomax.Token(0)
        self.assertIsInstance(late.reason, TimeoutError)
        for wrong in (0, 1, 2**31, -(2**31) - 1):
            with self.assertRaises(ValueError):
                first.cancel(wrong)
        with self.assertRaises(TypeError):
            first.cancel("because")
        self.assertIsNone(first.reason)

    def test_tokens_and_scopes_nest(self):
        def f():
            outer = gomax.Token()
            with outer.use():
                inner = gomax.Token()
            beside = gomax.Token()
            with outer.use():
                with inner.use(), inner.use(), gomax.Token().use():
                    outer.cancel(-5000)
                    with self.assertRaises(gomax.CanceledError):
                        gomax.sleep(60)
                with beside.use():
                    gomax.sleep(0.001)
                with self.assertRaises(gomax.CanceledError):
                    with gomax.scope() as s:
                        s.go(gomax.sleep, 60).join()
                with self.assertRaises(gomax.CanceledError):
                    gomax.sleep(60)
            self.assertEqual(inner.reason.status, -5000)
            self.assertFalse(beside.canceled)

        self.both(f)

    def test_deadlines(self):
        self.assertIsNone(gomax.deadline())
        self.assertIsNone(gomax.Token().deadline)

        def f():
            before = time.monotonic()
            token = gomax.Token(1000)
            self.assertLessEqual(before + 1000, token.deadline)
            self.assertLessEqual(token.deadline, time.monotonic() + 1000)
            with token.use():
                self.assertEqual(gomax.deadline(), token.deadline)
                self.assertEqual(gomax.Token(2000).deadline, token.deadline)
                self.assertLess(gomax.Token(500).deadline, token.deadline)
                with gomax.scope(500):
                    self.assertLess(gomax.deadline(), token.deadline)
                with gomax.scope():
                    self.assertEqual(gomax.deadline(), token.deadline)
            self.assertIsNone(gomax.deadline())

        self.both(f)

    def test_a_case_of_select(self):
        def f():
            token, other, channel = gomax.Token(), gomax.Token(), gomax.Channel()
            with self.assertRaises(TimeoutError):
                gomax.select(token, channel, timeout=0)
            with self.assertRaises(TimeoutError):
                gomax.select(token, channel, timeout=0.001)
            g = gomax.go(gomax.select, other, channel, token)
            until(lambda: channel.waiters.receivers == 1)
            token.cancel()
            self.assertEqual(g.join(), (2, None, False))
            self.assertEqual(gomax.select(other, channel, token), (2, None, False))
            self.assertEqual(gomax.select(token, timeout=0), (0, None, False))
            with self.assertRaises(TypeError):
                gomax.select((token, 1))

        self.both(f)

    def test_lives_as_long_as_it_is_used(self):
        token, waits = gomax.Token(0.01), gomax.Semaphore()
        g = token.go(waits.acquire)
        del token
        gc.collect()
        with self.assertRaises(gomax.CanceledError):
            g.join()

        def makes_more():
            waits.acquire()
            with gomax.scope() as s:
                s.go(int)
            return gomax.Token(), gomax.on_cancel(int)

        g = gomax.Token().go(makes_more)
        gc.collect()
        waits.release()
        g.join()
        with gomax.Token().use():
            gc.collect()
            gomax.sleep(0.001)
            with gomax.scope() as s:
                s.go(gomax.sleep, 0.001)
        token = gomax.Token()
        gone = weakref.ref(token)
        token.go(int).join()
        del token
        until(lambda: gc.collect() is not None and gone() is None)

    def test_for_c_functions(self):
        source = """
static int32_t reason;
static gmx_status ended;
void waits(void *sema) { ended = gmx_sema_acquire(sema); if (gmx_cancel_reason(0, &reason) != GMX_OK) reason = 1; }
int32_t was(void) { return reason; }
gmx_status ended_by(void) { return ended; }
"""
        with c_library(source) as lib:

            def f():
                token, never = gomax.Token(), gomax.Semaphore()
                with token.use():
                    g = gomax.go_c(lib.waits, never, inherit=True)
                    alone = gomax.go_c(lib.waits, never)
                until(lambda: never.waiters == 2)
                token.cancel(-5000)
                g.join()
                self.assertEqual((lib.was(), lib.ended_by()), (-5000, gomax._abi.GMX_ECANCELED))
                never.release()
                alone.join()
                self.assertEqual((lib.was(), lib.ended_by()), (0, 0))
                with gomax.scope() as s:
                    g = gomax.go_c(lib.waits, never, inherit=True)
                    until(lambda: never.waiters == 1)
                    s.cancel()
                    g.join()
                self.assertEqual(gomax.gmx.gmx_cancel_now(token.handle), 0)

            self.both(f)

    def test_one_goroutine(self):
        def f():
            never = gomax.Semaphore()
            g = gomax.go_c(gomax.gmx.gmx_sema_acquire, never, cancellable=True)
            plain = gomax.go_c(gomax.gmx.gmx_sema_acquire, never)
            until(lambda: never.waiters == 2)
            for reason in (0, 1, 2**31):
                with self.assertRaises(ValueError):
                    g.cancel(reason)
            with self.assertRaises(gomax.Error):
                plain.cancel()
            self.assertTrue(g.cancel())
            g.join()
            self.assertFalse(g.cancel())
            never.release()
            plain.join()

        self.both(f)

    def test_interrupts(self):
        """A signal ends a wait under a token, and what its handler starts is under that, not under the wait's."""
        text = """
import gomax, os, signal
from test_tokens import until
def handler(number, frame):
    started.append(gomax.go_c(gomax.gmx.gmx_sema_acquire, never, inherit=True))
    assert gomax.deadline() == token.deadline
    raise KeyError
started, never, token = [], gomax.Semaphore(), gomax.Token(1000)
signal.signal(signal.SIGUSR1, handler)
with token.use():
    for _ in range(3):
        gomax.go(lambda: (until(lambda: gomax._waits._interrupts.waiting), os.kill(os.getpid(), signal.SIGUSR1)))
        try:
            gomax.sleep(1000)
        except KeyError:
            pass
assert not gomax.canceled()
until(lambda: never.waiters == 3)
token.cancel()
for g in started:
    g.join()
assert gomax.gmx.gmx_cancel_current() == 0
print("done")
"""
        self.assertEqual(run(IMPORT + text), "done\n")

    def test_interrupted_use(self):
        """Ctrl-C while a block is entered: nothing stays in use."""
        from gomax import _tokens

        token = gomax.Token()
        before = _tokens.check

        def interrupt(status, what=""):
            raise KeyboardInterrupt

        _tokens.check = interrupt
        try:
            with self.assertRaises(KeyboardInterrupt):
                with token.use():
                    self.fail("it was entered")
        finally:
            _tokens.check = before
        self.assertEqual(gomax.gmx.gmx_cancel_current(), 0)

    def test_after_a_fork(self):
        text = """
import gomax, os
token = gomax.Token()
hook = token.on_cancel(print, "no")
pid = os.fork()
if not pid:
    for call in (token.cancel, lambda: token.handle, lambda: gomax.select(token), lambda: token.go(int), token.use().__enter__):
        try:
            call()
            os._exit(1)
        except gomax.ForkedError:
            pass
    hook.stop()
    del hook, token
    own = gomax.Token()
    own.cancel()
    os._exit(gomax.select(own).case)
print(os.waitpid(pid, 0)[1])
"""
        self.assertEqual(run(text), "0\n")


class Hooks(unittest.TestCase):
    def setUp(self):
        self.before = alive()

    def wait_for_the_goroutines(self):
        until(lambda: alive() <= self.before)

    def test_is_called_when_canceled(self):
        called = gomax.Channel(10)
        token = gomax.Token()
        hook = token.on_cancel(called.send, 1)
        self.assertEqual(len(called), 0)
        token.cancel()
        self.assertEqual(called.recv(60), 1)
        self.assertFalse(hook.stop())
        at_once = token.on_cancel(called.send, 2)
        self.assertEqual(called.recv(60), 2)
        self.assertFalse(at_once.stop())
        self.assertEqual(len(called), 0)

    def test_ends_a_wait_that_the_library_does_not_know(self):
        def reads(s):
            mine, theirs = socket.socketpair()
            with mine, theirs, gomax.on_cancel(mine.shutdown, socket.SHUT_RDWR):
                begun.send(1)
                return mine.recv(1)

        begun = gomax.Channel(1)
        with gomax.scope() as s:
            g = s.go(reads, s)
            begun.recv()
            s.cancel()
            self.assertEqual(g.join(), b"")

    def test_stop(self):
        called = []
        token = gomax.Token()
        hook = token.on_cancel(called.append, 1)
        self.assertTrue(hook.stop())
        self.assertFalse(hook.stop())
        with token.on_cancel(called.append, 2), gomax.on_cancel(called.append, 3):
            pass
        with token.use(), gomax.on_cancel(called.append, 4):
            pass
        token.on_cancel(called.append, 5)  # which nothing refers to
        self.wait_for_the_goroutines()
        token.cancel()
        with gomax.scope() as s:
            s.cancel()
        self.assertEqual(called, [])

    def test_one_side_wins(self):
        for _ in range(200):
            called = []
            token = gomax.Token()
            hook = token.on_cancel(called.append, 1)
            g = gomax.go(token.cancel)
            kept = hook.stop()
            g.join()
            self.wait_for_the_goroutines()
            self.assertEqual(called, [] if kept else [1])

    def test_errors_are_reported(self):
        told, before = [], threading.excepthook
        threading.excepthook = told.append
        try:
            token = gomax.Token()
            hook = token.on_cancel(lambda: 1 / 0)
            token.cancel()
            until(lambda: gc.collect() is not None and told)
            self.assertFalse(hook.stop())
        finally:
            threading.excepthook = before
        self.assertIs(told[0].exc_type, ZeroDivisionError)

    def test_interrupted_start(self):
        """Ctrl-C after a hook was made and before the block is entered: its goroutine ends."""
        from gomax import _tokens

        before = _tokens.start

        def interrupt(*args):
            before(*args)
            raise KeyboardInterrupt

        token, called = gomax.Token(), []
        _tokens.start = interrupt
        try:
            with self.assertRaises(KeyboardInterrupt):
                with token.on_cancel(called.append, 1):
                    self.fail("it was entered")
        finally:
            _tokens.start = before
        self.wait_for_the_goroutines()
        token.cancel()
        self.assertEqual(called, [])


IMPORT = f"import sys\nsys.path.insert(0, {__file__.rpartition('/')[0]!r})\n"

if __name__ == "__main__":
    unittest.main()
