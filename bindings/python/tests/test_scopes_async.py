"""Scopes of coroutines, under asyncio, under trio, and under asyncio with anyio loaded."""

import asyncio
import contextlib
import sys
import threading
import time
import unittest
import unittest.mock

import gomax
from programs import c_library, run

try:
    import anyio
    import trio
except ImportError:  # ci/python.sh installs them, if that can be done
    anyio = trio = None


def begun_and_waits(begun):
    begun.send(1)
    gomax.sleep(1000)


class Scopes(unittest.TestCase):
    def everywhere(self, main):
        """Each ends within a time that none needs: a wait that is not ended fails."""

        async def limited():
            await asyncio.wait_for(main(), 100)

        with self.subTest(loop="asyncio"):
            asyncio.run(limited())
        if trio:

            async def limited():
                with trio.fail_after(100):
                    await main()

            with self.subTest(loop="trio"):
                trio.run(limited)

            async def limited():
                with anyio.fail_after(100):
                    await main()

            with self.subTest(loop="anyio"):
                anyio.run(limited)

    def test_goroutines_end_before_the_block_is_left(self):
        async def main():
            done = []
            async with gomax.scope() as s:
                gs = [s.go(lambda i=i: (gomax.sleep(0.001), done.append(i), i * i)[2]) for i in range(10)]
            self.assertEqual((sorted(done), [g.join(0) for g in gs]), (list(range(10)), [i * i for i in range(10)]))
            with self.assertRaises(RuntimeError):
                s.go(int)
            with self.assertRaises(RuntimeError):
                async with s:
                    pass

        self.everywhere(main)

    def test_a_failure_ends_the_waits(self):
        async def main():
            with self.assertRaises(ZeroDivisionError):
                async with gomax.scope() as s:
                    g = s.go(gomax.sleep, 1000)
                    s.go(lambda: 1 / 0)
                    await gomax.Channel().recv_async()
            self.assertTrue(g.cancelled())
            with self.assertRaises(KeyError):
                async with gomax.scope() as s:
                    g = s.go(gomax.sleep, 1000)
                    raise KeyError
            self.assertTrue(g.cancelled())
            await gomax.sleep_async(0)

            def fails():
                try:
                    begun_and_waits(begun)
                except gomax.CanceledError:
                    raise ValueError("late")

            begun = gomax.Channel()
            with self.assertRaises(Exception) as caught:
                async with gomax.scope() as s:
                    s.go(fails)
                    await begun.recv_async()
                    raise KeyError("first")
            if sys.version_info >= (3, 11):
                self.assertEqual([type(e) for e in caught.exception.exceptions], [KeyError, ValueError])

        self.everywhere(main)

    def test_deadlines(self):
        async def main():
            for wait in (lambda s: gomax.sleep_async(1000), lambda s: gomax.Channel().recv_async()):
                with self.assertRaises(TimeoutError):
                    async with gomax.scope(0.001) as s:
                        await wait(s)
                self.assertTrue(s.timed_out)
                async with gomax.move_on_after(0.001) as s:
                    await wait(s)
                self.assertTrue(s.timed_out)
            with self.assertRaises(TimeoutError):
                async with gomax.fail_after(0.001) as s:
                    s.go(gomax.sleep, 1000)
            # one that ended nothing is none
            async with gomax.scope(0) as s:
                s.go(int)
            self.assertFalse(s.timed_out)
            async with gomax.scope(0.001) as s:
                while not s.canceled:
                    pass
            await gomax.sleep_async(0)
            async with gomax.move_on_after(1000) as s:
                await gomax.sleep_async(0)
            self.assertFalse(s.timed_out)

        self.everywhere(main)

    def test_cancel_is_no_error(self):
        async def main():
            async with gomax.scope() as s:
                s.go(s.cancel)
                await gomax.sleep_async(1000)
                self.fail("the wait of the block was not ended")
            async with gomax.scope() as s:
                s.go(gomax.sleep, 1000)
                s.cancel()
                await gomax.sleep_async(1000)
                self.fail("the wait of the block was not ended")
            for _ in range(50):  # a request that comes when the block has ended ends nothing else
                async with gomax.scope() as s:
                    s.go(s.cancel)
                await gomax.sleep_async(0)
                async with gomax.scope() as s:
                    s.cancel()
                await gomax.sleep_async(0)
                with self.assertRaises(ZeroDivisionError):
                    async with gomax.scope() as s:
                        s.go(lambda: 1 / 0)
                await gomax.sleep_async(0)

        self.everywhere(main)

    def test_nested(self):
        async def main():
            for wait in (lambda s: gomax.sleep_async(1000), lambda s: gomax.go(s.go(gomax.sleep, 1000)._wait)):
                for outer, end in ((gomax.scope(0.001), TimeoutError), (gomax.move_on_after(0.001), None)):
                    inner = []
                    with self.assertRaises(end) if end else contextlib.nullcontext():
                        async with outer:
                            try:
                                async with gomax.scope() as s:
                                    await wait(s)
                            except BaseException as e:
                                inner.append(e)
                                raise
                    self.assertEqual(len(inner), 1)
                    self.assertNotIsInstance(inner[0], Exception)  # a cancellation, of the loop or of the library
                    self.assertTrue(outer.timed_out)
                    self.assertFalse(s.timed_out)
                    await gomax.sleep_async(0)
            # the inner scope ends, the outer one continues
            async with gomax.scope() as outer:
                async with gomax.move_on_after(0.001) as s:
                    await gomax.sleep_async(1000)
                await gomax.sleep_async(0)
                self.assertEqual((s.timed_out, outer.canceled), (True, False))

        self.everywhere(main)

    def test_what_a_coroutine_asks(self):
        async def main():
            self.assertIsNone(gomax.deadline())
            async with gomax.scope(1000) as s:
                self.assertLessEqual(gomax.deadline(), time.monotonic() + 1000)
                async with gomax.scope():
                    self.assertIsNotNone(gomax.deadline())
                    self.assertEqual(s.go(gomax.deadline).join(), gomax.deadline())
                token = gomax.Token()
                self.assertEqual(token.deadline, gomax.deadline())
                self.assertIsNone(gomax.go(gomax.deadline).join())  # not of the scope
                s.cancel()
                self.assertTrue(gomax.canceled() and token.canceled)
                with self.assertRaises(gomax.CanceledError):
                    gomax.check_canceled()
            self.assertFalse(gomax.canceled())

        self.everywhere(main)

    def test_shield(self):
        async def main():
            done = []
            async with gomax.move_on_after(0.001):
                async with gomax.scope() as s:
                    s.cancel()
                    async with gomax.shield():
                        async with gomax.shield():
                            await gomax.sleep_async(0.01)
                        await gomax.sleep_async(0.001)
                        done.append("shielded")
                    await gomax.sleep_async(1000)
                    done.append("never")
            self.assertEqual(done, ["shielded"])

        self.everywhere(main)

    def test_c_functions(self):
        source = "gmx_status waits(void *sema) { return gmx_sema_acquire(sema); } gmx_status fails(void *arg) { return -5000; }"
        with c_library(source) as lib:

            async def main():
                never = gomax.Semaphore()
                async with gomax.move_on_after(0.001) as s:
                    s.go_c(lib.waits, never)
                self.assertTrue(s.timed_out)
                with self.assertRaises(gomax.Error) as caught:
                    async with gomax.scope() as s:
                        s.go_c(lib.waits, never)
                        s.go_c(lib.fails)
                self.assertEqual(caught.exception.status, -5000)

            self.everywhere(main)

    def test_a_scope_of_threads_around_the_loop(self):
        seen = []

        async def main():
            async with gomax.scope():
                try:
                    await gomax.sleep_async(1000)
                finally:
                    seen.append("canceled")

        for runs in [asyncio.run] + ([lambda main: trio.run(lambda: main)] if trio else []):
            with gomax.move_on_after(0.001) as s:
                runs(main())
            self.assertTrue(s.timed_out)
            g = gomax.go(runs, main())
            g.cancel()
            with self.assertRaises(gomax.CanceledError):
                g.join()
        self.assertEqual(set(seen), {"canceled"})


class Asyncio(unittest.TestCase):
    """`task.cancel()` from outside, and the count of requests."""

    def test_canceled_from_outside(self):
        async def block(begun, seen):
            async with gomax.scope() as s:
                seen.append(s.go(begun_and_waits, begun))
                await gomax.sleep_async(1000)

        async def leaving(begun, seen):
            async with gomax.scope() as s:
                seen.append(s.go(begun_and_waits, begun))

        async def main():
            for scope in (block, leaving):
                begun, seen = gomax.Channel(), []
                task = asyncio.ensure_future(scope(begun, seen))
                await begun.recv_async()
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
                self.assertTrue(seen[0].cancelled())
                self.assertTrue(task.cancelled())

        asyncio.run(main())

    def test_an_error_instead_of_a_cancellation(self):
        """The cancellation comes at the next wait."""

        def fails(begun):
            try:
                begun_and_waits(begun)
            except gomax.CanceledError:
                raise KeyError

        async def main():
            begun, seen = gomax.Channel(), []

            async def work():
                try:
                    async with gomax.scope() as s:
                        s.go(fails, begun)
                        await gomax.sleep_async(1000)
                except KeyError:
                    seen.append("failed")
                await asyncio.sleep(1000)

            task = asyncio.ensure_future(work())
            await begun.recv_async()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertEqual(seen, ["failed"])

        asyncio.run(main())

    def test_both_at_once(self):
        """The scope and another cancel the task in one turn of the loop."""

        async def main():
            async def work():
                async with gomax.scope() as s:
                    scopes.append(s)
                    await asyncio.sleep(1000)
                return "went on"

            for first in ("scope", "task"):
                scopes = []
                task = asyncio.ensure_future(work())
                await asyncio.sleep(0)
                for which in (("scope", "task") if first == "scope" else ("task", "scope")):
                    scopes[0].cancel() if which == "scope" else task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
            # with the scope's request on its way when the block ends
            async def ends():
                async with gomax.scope() as s:
                    s.cancel()
                    asyncio.current_task().cancel()
                await asyncio.sleep(0)
                return "went on"

            with self.assertRaises(asyncio.CancelledError):
                await asyncio.ensure_future(ends())

        if sys.version_info >= (3, 11):  # before, a task does not count the requests to cancel it
            asyncio.run(main())

    def test_the_count_stays_right(self):
        async def main():
            task = asyncio.current_task()
            for _ in range(3):
                async with gomax.move_on_after(0.001):
                    await asyncio.sleep(1000)
                async with gomax.scope() as s:
                    s.cancel()
                with contextlib.suppress(ZeroDivisionError):
                    async with gomax.scope() as s:
                        s.go(lambda: 1 / 0)
                        await asyncio.sleep(1000)
                self.assertEqual(task.cancelling(), 0)
            async with asyncio.timeout(1000):
                async with gomax.move_on_after(0.001):
                    await asyncio.sleep(1000)
                await asyncio.sleep(0)
            with self.assertRaises(TimeoutError):
                async with asyncio.timeout(0.001):
                    async with gomax.scope(1000) as s:
                        s.go(gomax.sleep, 1000)
                        await asyncio.sleep(1000)
            async with gomax.move_on_after(0.001) as s:
                async with asyncio.timeout(1000):
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(asyncio.sleep(1000))
            self.assertTrue(s.timed_out)
            self.assertEqual(task.cancelling(), 0)

        if sys.version_info >= (3, 11):
            asyncio.run(main())

    def test_wait_for(self):
        async def work():
            async with gomax.scope() as s:
                s.go(gomax.sleep, 1000)

        async def main():
            with self.assertRaises((TimeoutError, asyncio.TimeoutError)):
                await asyncio.wait_for(work(), 0.001)
            async with gomax.move_on_after(0.001) as s:
                await asyncio.wait_for(asyncio.sleep(1000), 1000)
            self.assertTrue(s.timed_out)

        asyncio.run(main())

    def test_interrupted(self):
        text = """
import asyncio, gomax, os, signal, threading
async def main():
    async with gomax.scope() as s:
        g.append(s.go(gomax.sleep, 1000))
        threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()
        await asyncio.sleep(1000)
g = []
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", g[0].cancelled())
"""
        if sys.version_info >= (3, 11):  # before, it comes out of the loop, and the task is canceled behind it
            self.assertEqual(run(text), "interrupted True\n")

    def test_wants_a_task(self):
        scope = gomax.scope()
        with self.assertRaises(RuntimeError):
            scope.__aenter__().send(None)
        self.assertFalse(gomax.canceled())


@unittest.skipUnless(trio, "no trio, or no anyio")
class Others(unittest.TestCase):
    def test_canceled_from_outside(self):
        async def main():
            for leaving in (False, True):
                begun, gs = gomax.Channel(), []

                async def work():
                    async with gomax.scope() as s:
                        gs.append(s.go(begun_and_waits, begun))
                        if not leaving:
                            await gomax.sleep_async(1000)

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(work)
                    await begun.recv_async()
                    tasks.cancel_scope.cancel()
                self.assertTrue(gs[0].cancelled())

        for backend in ("asyncio", "trio"):
            with self.subTest(backend=backend):
                anyio.run(main, backend=backend)

    def test_tasks_in_the_block(self):
        async def main():
            with self.assertRaises(Exception) as caught:
                async with gomax.scope() as s:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(anyio.sleep, 1000)
                        s.go(lambda: 1 / 0)
            self.assertIsInstance(caught.exception, ZeroDivisionError)
            async with gomax.move_on_after(0.001) as s:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(anyio.sleep, 1000)
                    tasks.start_soon(anyio.sleep, 1000)
            self.assertTrue(s.timed_out)
            with anyio.move_on_after(1000) as outer:
                async with gomax.move_on_after(0.001) as s:
                    await anyio.sleep(1000)
                await anyio.sleep(0)
            self.assertEqual((outer.cancelled_caught, s.timed_out), (False, True))

        for backend in ("asyncio", "trio"):
            with self.subTest(backend=backend):
                anyio.run(main, backend=backend)

    def test_goroutines_that_take_longer(self):
        """anyio cancels a task at each turn of its loop; the scope waits all the same until its goroutines have
        ended."""
        go_on, turns = threading.Event(), []

        def slow(begun):
            try:
                begun_and_waits(begun)
            except gomax.CanceledError:
                go_on.wait(60)

        async def main():
            go_on.clear()
            begun = gomax.Channel()

            async def work():
                async with gomax.scope() as s:
                    s.go(slow, begun)
                    await gomax.sleep_async(1000)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(work)
                await begun.recv_async()
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    with unittest.mock.patch.object(gomax._loops, "future", side_effect=gomax._loops.future) as waits:
                        for _ in range(20):
                            await anyio.sleep(0)
                    turns.append((go_on.is_set(), waits.call_count < 5))  # it does not turn with the loop
                    go_on.set()

        for backend in ("asyncio", "trio"):
            with self.subTest(backend=backend):
                anyio.run(main, backend=backend)
        self.assertEqual(turns, [(False, True)] * 2)


if __name__ == "__main__":
    unittest.main()
