import builtins
import contextlib
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
                while not g.done():
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

    def test_a_deadline_that_ended_nothing(self):
        with gomax.scope(0) as s:
            time.sleep(0)
            s.go(int)
        self.assertFalse(s.timed_out)
        with self.assertRaises(TimeoutError) as caught:
            with gomax.scope(0) as s:
                gomax.sleep(60)
        self.assertTrue(s.timed_out)
        self.assertIsInstance(caught.exception.__cause__, gomax.CanceledError)

    def test_move_on_after(self):
        for wait in (lambda s: gomax.sleep(60), lambda s: s.go(gomax.sleep, 60)):
            with gomax.move_on_after(0.001) as s:
                wait(s)
            self.assertTrue(s.timed_out)
            with self.assertRaises(TimeoutError):
                with gomax.fail_after(0.001) as s:
                    wait(s)
        with gomax.move_on_after(60) as s:
            gomax.sleep(0)
        self.assertFalse(s.timed_out)
        with self.assertRaises(TimeoutError):  # the time of another is not its own
            with gomax.scope(0.001):
                with gomax.move_on_after(60) as s:
                    gomax.sleep(60)
        self.assertFalse(s.timed_out)

    def test_canceled_together_with_another_failure(self):
        """What the scope's own cancellation brings is in no group."""
        begun = gomax.Channel()

        def waits():
            begun.send(1)
            gomax.sleep(60)

        def fails():
            try:
                waits()
            except gomax.CanceledError:
                raise KeyError("late")

        with self.assertRaises(Exception) as caught:
            with gomax.scope() as s:
                s.go(waits)
                s.go(fails)
                begun.recv()
                begun.recv()
                raise ValueError("first")
        if sys.version_info >= (3, 11):
            self.assertIs(type(caught.exception), ExceptionGroup)  # noqa: F821
            self.assertEqual([type(e) for e in caught.exception.exceptions], [ValueError, KeyError])
        else:
            self.assertIs(type(caught.exception), ValueError)

    def test_one_is_canceled_by_its_handle(self):
        begun = gomax.Channel()

        def waits():
            begun.send(1)
            gomax.sleep(60)

        with gomax.scope() as s:
            first, second = s.go(waits), s.go(lambda: begun.recv())
            second.join()
            self.assertTrue(first.cancel())
            with self.assertRaises(gomax.CanceledError):
                first.join()
            self.assertFalse(s.canceled)
            gomax.sleep(0.001)
        self.assertTrue(first.cancelled())
        self.assertFalse(first.cancel())

    def test_goroutines_from_outside_meet_the_end(self):
        """A thread that does not belong to the scope starts goroutines while it is left: none runs on behind it."""
        for _ in range(200):
            s, alive, go_on = gomax.scope(), [0], threading.Event()
            lock = threading.Lock()

            def counts():
                with lock:
                    alive[0] += 1
                gomax.sleep(0)
                with lock:
                    alive[0] -= 1

            def starts():
                go_on.wait()
                try:
                    while True:
                        s.go(counts)
                except RuntimeError:
                    return

            with s:
                thread = threading.Thread(target=starts)
                thread.start()
                go_on.set()
            self.assertEqual((alive[0], s._running), (0, {}))
            thread.join()
            self.assertEqual((alive[0], s._running), (0, {}))

    def test_a_goroutine_registers_when_the_scope_closes(self):
        """Every order of the two: the step of the starter is held up while the scope is left."""
        s = gomax.scope()
        begins, left = s._begins, threading.Event()

        def late(g):
            thread_leaves.set()
            left.wait(60)
            begins(g)

        thread_leaves = threading.Event()
        s._begins = late
        errors = []

        def starts():
            try:
                s.go(errors.append, "it ran")
            except RuntimeError as e:
                errors.append(e)

        with s:
            thread = threading.Thread(target=starts)
            thread.start()
            thread_leaves.wait(60)
        left.set()
        thread.join()
        self.assertEqual([type(e) for e in errors], [RuntimeError])

    def test_a_generator_that_is_suspended(self):
        @contextlib.contextmanager
        def manager():
            with gomax.scope() as s:
                yield s

        with manager() as s:
            s.go(gomax.sleep, 0)
        with self.assertRaises(KeyError):
            with manager():
                raise KeyError

        def generator():
            with gomax.scope():
                yield 1

        g = generator()
        with self.assertRaisesRegex(RuntimeError, "left on its thread"):
            with gomax.scope() as s:
                next(g)  # its scope ends behind this one
                s.cancel()
        self.assertIsNone(next(g, None))
        self.assertFalse(gomax.canceled())
        gomax.sleep(0.001)
        g = generator()
        next(g)
        with self.assertRaises(RuntimeError):
            gomax.go(next, g).join()  # on another thread
        gomax.sleep(0.001)
        gomax.gmx.gmx_cancel_use(0, None)  # nothing else can put back what was on this thread

    def test_of_a_group_of_cancellations(self):
        if sys.version_info < (3, 11):
            return

        def both():
            try:
                gomax.sleep(60)
            except gomax.CanceledError as e:
                raise BaseExceptionGroup("both", [e, gomax.CanceledError()])  # noqa: F821

        with gomax.scope() as s:
            s.go(both)
            s.cancel()
        with self.assertRaises(TimeoutError):
            with gomax.scope(0.001):
                both()

    def test_cancel_is_no_error(self):
        with gomax.scope() as left:
            self.assertFalse(left.canceled)
        with gomax.scope() as s:
            s.go(gomax.sleep, 1000)
            s.cancel()
            self.assertTrue(gomax.canceled())
            self.assertFalse(left.canceled)  # it says nothing of the scope around
            gomax.sleep(1000)
            self.fail("the sleep of the block was not canceled")
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

    def test_canceled_waits_change_nothing(self):
        c = gomax.Channel()
        for _ in range(20):
            with gomax.scope() as s:
                s.go(c.send, 1)
                s.go(c.recv, 1000)
                s.go(c.send, 2)
                s.cancel()
        self.assertEqual((c._boxes, c._blocked), ({}, ({}, {})))


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
        self.assertIs(gomax.Semaphore().acquire(timeout=0.01), False)


if __name__ == "__main__":
    unittest.main()
