"""What an exception from outside leaves behind, at whichever point of an operation it comes (points.py)."""

import ctypes
import signal
import sys
import threading
import unittest

import gomax
from gomax import _abi, _waits
from points import Injected, everywhere, inject, untraced
from programs import c_library

SPIN = "void spin(void *word) { while (!*(volatile int *)word) {} }"

LOCKS = {
    "mutex": (gomax.Mutex, lambda lock: lock),
    "rmutex": (gomax.RMutex, lambda lock: lock),
    "writing": (gomax.RWMutex, lambda lock: lock),
    "reading": (gomax.RWMutex, lambda lock: lock.reading()),
    "cond": (gomax.Cond, lambda lock: lock),
    "semaphore": (lambda: gomax.Semaphore(1), lambda lock: lock),
}


def elsewhere(f, *args):
    return gomax.go(f, *args).join()


def free(lock):
    """Whether another goroutine gets it."""

    def take():
        if not lock.acquire(timeout=0):
            return False
        lock.release()
        return True

    return elsewhere(take)


class Points(unittest.TestCase):
    def everywhere(self, begin, least=2, allowed=(), part=1):
        """On the main thread, and on a goroutine."""
        everywhere(self, inject, begin, least, allowed, part)
        elsewhere(everywhere, self, inject, begin, least, allowed, part)


class Locks(Points):
    def test_block(self):
        for name, (new, taken) in LOCKS.items():
            with self.subTest(lock=name):

                def begin():
                    lock = new()

                    def operation():
                        with taken(lock):
                            pass

                    return operation, lambda result, raised: self.assertTrue(free(lock))

                self.everywhere(begin)

    def test_block_that_waits(self):
        for name, (new, taken) in LOCKS.items():
            with self.subTest(lock=name):

                def begin():
                    lock = new()
                    holds = gomax.Semaphore()

                    def hold():
                        with lock:
                            holds.release()
                            while not (lock.mutex if name == "cond" else lock).waiters and not over:
                                gomax.sleep(0.0001)

                    over = []
                    g = gomax.go(hold)
                    holds.acquire()

                    def operation():
                        with taken(lock):
                            pass

                    def check(result, raised):
                        over.append(True)
                        g.join()
                        self.assertTrue(free(lock))

                    return operation, check

                self.everywhere(begin)

    def test_acquire(self):
        for name, (new, _) in LOCKS.items():
            with self.subTest(lock=name):

                def begin():
                    lock = new()
                    return lock.acquire, lambda result, raised: self.assertEqual(free(lock), raised is not None)

                self.everywhere(begin)

    def test_mutex_that_the_caller_has(self):
        def begin():
            lock = gomax.Mutex()

            def operation():
                with lock:
                    try:
                        lock.acquire()
                    except gomax.Error:
                        pass

            return operation, lambda result, raised: self.assertTrue(free(lock))

        self.everywhere(begin)

    def test_recursion(self):
        def begin():
            lock, still = gomax.RMutex(), []

            def operation():
                with lock:
                    try:
                        with lock:
                            pass
                    finally:
                        untraced(lambda: still.append(not free(lock)))

            def check(result, raised):
                self.assertNotIn(False, still)
                self.assertTrue(free(lock))

            return operation, check

        self.everywhere(begin)

    def test_cond_wait(self):
        def begin():
            cond, still = gomax.Cond(), []
            over = []

            def notify():
                while not over:
                    with cond:
                        if cond.waiters:
                            cond.notify()
                            return
                    gomax.sleep(0.0001)

            g = gomax.go(notify)

            def operation():
                with cond:
                    try:
                        cond.wait()
                    finally:
                        untraced(lambda: still.append(not free(cond)))

            def check(result, raised):
                over.append(True)
                g.join()
                self.assertNotIn(False, still)
                self.assertTrue(free(cond))

            return operation, check

        self.everywhere(begin)

    def test_once(self):
        def begin():
            once = gomax.Once()
            done = []

            def check(result, raised):
                once.do(done.append, 1)
                self.assertEqual(len(done), 1)

            return lambda: once.do(done.append, 1), check

        self.everywhere(begin)

    def test_wait_group(self):
        """It counts up once and down as often: also where another count hides that it is below zero."""
        for count in (0, 5):

            def begin():
                group, ended = gomax.WaitGroup(count), gomax.WaitGroup(1)

                def check(result, raised):
                    ended.done()
                    while gomax.num_g() > before:
                        gomax.sleep(0.0001)
                    for _ in range(count):
                        group.done()
                    group.wait(60)
                    with self.assertRaises(ValueError):
                        group.done()

                before = gomax.num_g()
                return lambda: group.go(ended.wait, 60), check

            self.everywhere(begin)


class Signals(unittest.TestCase):
    """The same with a real signal, which comes when it likes."""

    ROUNDS = 50

    def interrupted(self, block):
        def handler(number, frame):
            raise Injected

        before = signal.signal(signal.SIGALRM, handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0002)
            while True:
                block()
        except Injected:
            pass
        finally:
            signal.signal(signal.SIGALRM, before)

    def test_locks(self):
        for new, taken in LOCKS.values():
            for _ in range(self.ROUNDS):
                lock = new()

                def block():
                    with taken(lock):
                        pass

                self.interrupted(block)
                self.assertTrue(free(lock))

    def test_world(self):
        def block():
            with gomax.stopped_world():
                pass

        for _ in range(self.ROUNDS):
            self.interrupted(block)
            self.assertEqual(gomax.gmx.gmx_start_the_world(), _abi.GMX_EPERM)

    def test_world_that_is_late(self):
        """The signal comes while a goroutine keeps the world from being stopped."""
        with c_library(SPIN) as code:
            for _ in range(3):
                word = ctypes.c_int(0)
                g = gomax.go_c(code.spin, word)
                threading.Timer(0.01, setattr, (word, "value", 1)).start()  # a goroutine could be stopped

                def block():
                    with gomax.stopped_world():
                        pass

                self.interrupted(block)
                g.join()
                self.assertEqual(gomax.gmx.gmx_start_the_world(), _abi.GMX_EPERM)


class World(Points):
    def test_block(self):
        for timeout in (None, 60):

            def begin():
                def operation():
                    with gomax.stopped_world(timeout=timeout) as world:
                        world.goroutines()

                def check(result, raised):
                    self.assertEqual(gomax.gmx.gmx_start_the_world(), _abi.GMX_EPERM)

                return operation, check

            self.everywhere(begin)

    def test_leaves_the_goroutine_in_its_syscall(self):
        def begin():
            def operation():
                with gomax.stopped_world():
                    pass

            def check(result, raised):
                self.assertEqual(gomax.gmx.gmx_enter_syscall(), _abi.GMX_EINSYSCALL)

            return operation, check

        elsewhere(everywhere, self, inject, begin)

    def test_barrier(self):
        def begin():
            return lambda: gomax.for_each_p(lambda p: None), lambda result, raised: gomax.for_each_p(lambda p: None)

        self.everywhere(begin)


class Waits(Points):
    def check_caller(self, token):
        """That nothing of a wait is left on the caller, whose token was this one."""
        self.assertEqual(gomax.gmx.gmx_cancel_current(), token)
        self.assertFalse(gomax.gmx.gmx_cancel_locks(False))
        if gomax.goid():
            self.assertEqual(gomax.gmx.gmx_enter_syscall(), _abi.GMX_EINSYSCALL)
        if _waits.get_ident() == _waits._interrupts.main:
            waits = _waits._interrupts
            self.assertEqual((waits.entered, waits.waiting, waits.forward), (False, False, -1))
            waits.sweep()
            self.assertLessEqual(len(waits.parents), 1)
            self.assertEqual(_waits.signal.set_wakeup_fd(-1), -1)

    def test_sleep(self):
        def begin():
            before = gomax.gmx.gmx_cancel_current()
            return lambda: gomax.sleep(0.0001), lambda result, raised: self.check_caller(before)

        self.everywhere(begin)

    def test_lock(self):
        def begin():
            group, before = gomax.WaitGroup(1), gomax.gmx.gmx_cancel_current()

            def operation():
                with self.assertRaises(TimeoutError):
                    group.wait(0.0001)

            return operation, lambda result, raised: self.check_caller(before)

        self.everywhere(begin)

    def test_shield(self):
        def begin():
            token, before = gomax.Token(), gomax.gmx.gmx_cancel_current()

            def operation():
                with token.use(), gomax.shield(), gomax.shield():
                    gomax.sleep(0.0001)

            def check(result, raised):
                token.cancel()
                with token.use():
                    with self.assertRaises(gomax.CanceledError):
                        gomax.sleep(60)
                self.check_caller(before)

            return operation, check

        self.everywhere(begin)

    def test_join(self):
        def begin():
            g, before = gomax.go(gomax.sleep, 0.001), gomax.gmx.gmx_cancel_current()

            def check(result, raised):
                g.join()
                self.check_caller(before)

            return g.join, check

        self.everywhere(begin)


if sys.version_info < (3, 10):
    del Signals  # there a block of threading.Lock itself may be left with the lock taken


if __name__ == "__main__":
    unittest.main()
