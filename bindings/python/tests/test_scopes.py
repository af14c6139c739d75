import builtins
import sys
import threading
import time
import unittest
import unittest.mock

import gomax


class Scopes(unittest.TestCase):
    def test_a_shield_lets_a_cleanup_wait(self):
        done = []

        def works(s):
            s.cancel()
            with self.assertRaises(gomax.CanceledError):
                gomax.sleep(60)
            with gomax.shield():
                with gomax.shield():
                    gomax.sleep(0.001)
                gomax.sleep(0.001)
                self.assertTrue(gomax.canceled())
            with self.assertRaises(gomax.CanceledError):
                gomax.sleep(60)
            done.append(1)

        with gomax.scope() as s:
            works(s)
        with gomax.scope() as s:
            s.go(works, s)
        self.assertEqual(done, [1, 1])

    def test_waits_for_all(self):
        done = []
        with gomax.scope() as s:
            for i in range(20):
                s.go(lambda i=i: (gomax.sleep(0.001), done.append(i)))
        self.assertEqual(sorted(done), list(range(20)))

    def test_first_error_cancels_the_rest(self):
        canceled = []

        def waits():
            try:
                gomax.Channel().recv()
            except gomax.CanceledError:
                canceled.append(1)
                raise

        with self.assertRaises(ZeroDivisionError):
            with gomax.scope() as s:
                for _ in range(5):
                    s.go(waits)
                s.go(lambda: 1 / 0)
        self.assertEqual(len(canceled), 5)

    def test_error_of_a_goroutine_ends_a_wait_of_the_block(self):
        with self.assertRaises(ZeroDivisionError):
            with gomax.scope() as s:
                s.go(lambda: 1 / 0)
                gomax.Channel().recv()

    def test_error_of_the_block_cancels(self):
        with self.assertRaises(KeyError):
            with gomax.scope() as s:
                g = s.go(gomax.Channel().recv)
                raise KeyError
        with self.assertRaises(gomax.CanceledError):
            g.join()

    def fail_together(self, *errors):
        """A scope whose goroutines all fail, each once all run."""
        begun = threading.Barrier(len(errors))

        def fails(e):
            begun.wait(60)
            raise e

        with gomax.scope() as s:
            for e in errors:
                s.go(fails, e)

    def test_no_error_is_lost(self):
        errors = [KeyError("a"), ValueError("b"), OSError("c")]
        if sys.version_info >= (3, 11):
            with self.assertRaises(ExceptionGroup) as caught:  # noqa: F821
                self.fail_together(*errors)
            self.assertEqual({id(e) for e in caught.exception.exceptions}, {id(e) for e in errors})
        with unittest.mock.patch.object(builtins, "BaseExceptionGroup", None, create=True):
            errors = [KeyError("a"), ValueError("b"), OSError("c")]
            with self.assertRaises((KeyError, ValueError, OSError)) as caught:
                self.fail_together(*errors)
            seen, e = set(), caught.exception
            while e is not None and id(e) not in seen:
                seen.add(id(e))
                e = e.__context__
            self.assertLessEqual({id(e) for e in errors}, seen)

    def test_one_error_comes_as_it_is(self):
        with self.assertRaises(ZeroDivisionError):
            with gomax.scope() as s:
                for _ in range(3):
                    s.go(gomax.sleep, 1000)
                s.go(lambda: 1 / 0)
        same = KeyError("the same")

        def fails():
            raise same

        with self.assertRaises(KeyError) as caught:
            with gomax.scope() as s:
                s.go(fails)
                s.go(fails)
        self.assertIs(caught.exception, same)

    def test_the_end_of_the_program_comes_as_it_is(self):
        with self.assertRaises(SystemExit):
            self.fail_together(KeyError("a"), SystemExit(3), ValueError("b"))
        with self.assertRaises(KeyboardInterrupt):
            with gomax.scope() as s:
                g = s.go(lambda: 1 / 0)
                while not g.done:
                    time.sleep(0.001)
                raise KeyboardInterrupt

    def test_time_is_up(self):
        with self.assertRaises(TimeoutError):
            with gomax.scope(0.01) as s:
                s.go(gomax.sleep, 1000)
        with self.assertRaises(TimeoutError):
            with gomax.scope(0.01):
                gomax.sleep(1000)
        gomax.sleep(0.001)  # the token is not ours any more

    def test_cancel_is_no_error(self):
        with gomax.scope() as left:
            self.assertFalse(left.canceled)
        with gomax.scope() as s:
            s.go(gomax.sleep, 1000)
            s.cancel()
            self.assertTrue(gomax.canceled())
            self.assertFalse(left.canceled)  # it says nothing of the scope around
            gomax.sleep(1000)
            self.fail("the sleep of the block was not cancelled")
        self.assertFalse(gomax.canceled())

    def test_nested(self):
        seen = []

        def outer():
            try:
                with gomax.scope() as inner:
                    inner.go(gomax.sleep, 1000)
            except gomax.CanceledError:
                seen.append("canceled")
                raise

        with self.assertRaises(TimeoutError):
            with gomax.scope(0.01) as s:
                s.go(outer)
        self.assertEqual(seen, ["canceled"])

    def test_loops_ask(self):
        def loop():
            while True:
                gomax.check_canceled()

        with self.assertRaises(TimeoutError):
            with gomax.scope(0.01) as s:
                s.go(loop)

    def test_interrupted_start(self):
        """Ctrl-C at any step of go: it is not waited for what will never run."""
        from gomax import _goroutines

        def interrupt(*args):
            raise KeyboardInterrupt

        for where, name in ((_goroutines.contextvars, "copy_context"), (_goroutines.G, "__init__"), (gomax.Scope, "_begins")):
            before = getattr(where, name)
            with self.assertRaises(KeyboardInterrupt):
                with gomax.scope() as s:
                    s.go(gomax.sleep, 0.001)
                    setattr(where, name, interrupt)
                    try:
                        s.go(int)
                    finally:
                        setattr(where, name, before)
            self.assertEqual(s._running, {})

    def test_of_a_goroutine(self):
        def run():
            with gomax.scope() as s:
                return sum(g.join() for g in [s.go(lambda i=i: i) for i in range(10)])

        self.assertEqual(gomax.go(run).join(), 45)

    def test_cancelled_waits_change_nothing(self):
        c = gomax.Channel()
        for _ in range(20):
            with gomax.scope() as s:
                s.go(c.send, 1)
                s.go(c.recv, 1000)
                s.go(c.send, 2)
                s.cancel()
        self.assertEqual((c._boxes, c._blocked), ({}, [0, 0]))


class Sync(unittest.TestCase):
    def test_wait_group(self):
        group, done = gomax.WaitGroup(), []
        for i in range(10):
            group.go(done.append, i)
        group.wait()
        self.assertEqual(sorted(done), list(range(10)))
        with self.assertRaises(ValueError):
            group.done()
        group.add()
        with self.assertRaises(TimeoutError):
            group.wait(0.01)

    def test_semaphore(self):
        s = gomax.Semaphore(2)
        inside, most, lock = 0, 0, threading.Lock()

        def enter():
            nonlocal inside, most
            with s:
                with lock:
                    inside += 1
                    most = max(most, inside)
                gomax.sleep(0.001)
                with lock:
                    inside -= 1

        with gomax.scope() as scope:
            for _ in range(20):
                scope.go(enter)
        self.assertEqual(most, 2)
        with self.assertRaises(TimeoutError):
            gomax.Semaphore().acquire(0.01)


if __name__ == "__main__":
    unittest.main()
