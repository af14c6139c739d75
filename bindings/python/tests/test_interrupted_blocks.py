"""What an exception from outside leaves behind where a block, a goroutine, a queue or a timer is used: see
test_interrupted.py."""

import asyncio
import contextlib
import ctypes
import gc
import os
import sys
import traceback
import unittest
import unittest.mock
import weakref

import gomax
from gomax import _abi, _goroutines, _scopes
from points import Injected, untraced
from test_exactly_once import Loop
from test_interrupted import Points, Waits

try:
    import anyio
    import trio
except ImportError:  # ci/python.sh installs them, if that can be done
    anyio = trio = None

FULL = bool(os.environ.get("GMX_STRESS"))
"""All points; otherwise some of them, other ones in each run."""
GROUPS = (BaseExceptionGroup,) if sys.version_info >= (3, 11) else ()  # noqa: F821


def until(what):
    while not what():
        gomax.sleep(0.0001)


class Failed(Exception):
    pass


class Case(Points):
    check_caller = Waits.check_caller
    PART = 8

    def everywhere(self, begin, least=2, allowed=()):
        super().everywhere(begin, least, allowed, 1 if FULL else self.PART)

    def setUp(self):
        self.begun, self.ended = [], []

    def runs(self, f, *args):
        """For a goroutine: notes that it runs."""
        self.begun.append(f)
        try:
            return f(*args)
        finally:
            self.ended.append(f)

    def check_ended(self):
        self.assertEqual(len(self.begun), len(self.ended))


def waits():
    gomax.Channel().recv()


def fails():
    raise Failed


class Scopes(Case):
    """Whatever comes, all goroutines have ended behind the block, and the caller is under the token of before."""

    def each(self, block, new=gomax.scope, allowed=(Failed,)):
        def begin():
            scopes, before = [], gomax.gmx.gmx_cancel_current()

            def operation():
                scopes.append(new())
                with scopes[0] as s:
                    block(s)

            def check(result, raised):
                self.check_ended()
                self.check_caller(before)
                self.assertEqual(_scopes._left_early, {})
                for s in scopes:
                    self.assertEqual((s._running, s._kept, s._token.value), ({}, {}, 0))
                    self.assertEqual(gomax.gmx.gmx_scope_cancel(s._scope), _abi.GMX_ESTALE)
                    with self.assertRaises(RuntimeError):
                        s.go(int)
                with gomax.scope() as s:
                    self.assertEqual(s.go(int).join(), 0)
                self.assertFalse(_goroutines.leftovers)

            return operation, check

        self.everywhere(begin, 20, (*allowed, *GROUPS))

    def test_goroutines_that_end(self):
        def block(s):
            s.go(self.runs, int)
            s.go(self.runs, gomax.sleep, 0.0001).join()

        self.each(block)

    def test_canceled(self):
        def block(s):
            s.go(self.runs, waits)
            s.cancel()

        self.each(block)

    def test_a_goroutine_fails(self):
        def block(s):
            s.go(self.runs, waits)
            s.go(self.runs, fails)
            waits()

        self.each(block)

    def test_the_block_fails(self):
        def block(s):
            s.go(self.runs, waits)
            fails()

        self.each(block)

    def test_out_of_time(self):
        def block(s):
            s.go(self.runs, waits)
            waits()

        self.each(block, lambda: gomax.move_on_after(0.001))
        self.each(block, lambda: gomax.fail_after(0.001), (TimeoutError,))

    def test_within_another(self):
        def block(s):
            with gomax.scope() as inner:
                inner.go(self.runs, waits)
                s.go(self.runs, waits)
                s.cancel()
                waits()

        self.each(block)

    def test_c_functions(self):
        def block(s):
            s.go_c(gomax.gmx.gmx_sema_acquire, gomax.Semaphore())
            s.go(self.runs, waits)
            s.cancel()

        self.each(block)

    def test_a_c_function_fails(self):
        self.each(lambda s: s.go_c(gomax.gmx.gmx_sema_release, None), allowed=(ValueError,))

    def test_left_twice(self):
        def block(s):
            s.go(self.runs, waits)
            s.cancel()
            s.__exit__(None, None, None)

        self.each(block)


def with_asyncio(main):
    """Also what comes in a callback of the loop ends the tasks."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main())
    except Injected:
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Failed, TimeoutError, *GROUPS):
                loop.run_until_complete(task)
        raise
    finally:
        loop.close()


def without_anyio(main):
    with unittest.mock.patch.dict(sys.modules):
        for name in ("anyio", "trio"):
            sys.modules.pop(name, None)
        return with_asyncio(main)


LOOPS = {"asyncio": without_anyio}
if trio:
    LOOPS.update({"anyio": with_asyncio, "trio": lambda main: trio.run(main)})


class AsyncBlocks(Case):
    """The same of `async with`. Where the exception comes in the function itself, before it waits for the end of its
    block, the goroutines are canceled and not waited for."""

    PART = 32  # three loops, each of which is begun anew

    def each(self, block, new=gomax.scope, allowed=(Failed,)):
        for loop, run in LOOPS.items():
            with self.subTest(loop=loop):

                def begin():
                    blocks, before, ended = [], gomax.gmx.gmx_cancel_current(), []

                    async def uses():
                        blocks.append(new())
                        async with blocks[0] as s:
                            await block(s)

                    async def main():
                        try:
                            await uses()
                        finally:
                            untraced(lambda: self.behind(ended))

                    def check(result, raised):
                        frames = [frame.name for frame in traceback.extract_tb(raised and raised.__traceback__)]
                        given_up = frames[-4:-3] == ["uses"]
                        if not given_up:
                            self.assertNotIn(False, ended)
                        until(lambda: len(self.begun) == len(self.ended))
                        until(lambda: (_goroutines.sweep(), not _goroutines.leftovers)[1])
                        self.check_caller(before)
                        for s in blocks:
                            if isinstance(s, gomax.Scope):
                                until(lambda: not s._running)
                                self.assertEqual((s._token.value, given_up or s._kept), (0, given_up or {}))
                                self.assertEqual(gomax.gmx.gmx_scope_cancel(s._scope), _abi.GMX_ESTALE)
                                with self.assertRaises(RuntimeError):
                                    s.go(int)

                    return lambda: run(main), check

                self.everywhere(begin, 20, (*allowed, *GROUPS))

    def behind(self, ended):
        ended.append(len(self.begun) == len(self.ended))
        ended.append(gomax.deadline() is None)
        ended.append(_scopes.around() is None)

    def test_goroutines_that_end(self):
        async def block(s):
            s.go(self.runs, int)
            s.go(self.runs, gomax.sleep, 0.0001)

        self.each(block, lambda: gomax.scope(60))

    def test_canceled(self):
        async def block(s):
            s.go(self.runs, waits)
            s.cancel()

        self.each(block)

    def test_a_goroutine_fails(self):
        async def block(s):
            s.go(self.runs, waits)
            s.go(self.runs, fails)
            await gomax.Channel().recv_async()

        self.each(block)

    def test_the_block_fails(self):
        async def block(s):
            s.go(self.runs, waits)
            fails()

        self.each(block)

    def test_out_of_time(self):
        async def block(s):
            s.go(self.runs, waits)
            await gomax.Channel().recv_async()

        self.each(block, lambda: gomax.move_on_after(0.001))
        self.each(block, lambda: gomax.fail_after(0.001), (TimeoutError,))

    def test_within_another(self):
        async def block(s):
            async with gomax.scope() as inner:
                inner.go(self.runs, waits)
                s.go(self.runs, waits)
                s.cancel()
                await gomax.Channel().recv_async()

        self.each(block)

    def test_c_functions(self):
        async def block(s):
            s.go_c(gomax.gmx.gmx_sema_acquire, gomax.Semaphore())
            s.cancel()

        self.each(block)

    def test_shield(self):
        """Behind it the scope ends waits again."""
        new = [gomax.shield]

        async def block(s):
            s.go(self.runs, waits)
            s.cancel()

            async def uses():
                async with new[0]():
                    await gomax.sleep_async(0)

            try:
                await uses()
            finally:
                if isinstance(s._host, gomax._scopes_async.AsyncioHost):
                    self.assertEqual(s._host.shields, {})
            await gomax.Channel().recv_async()

        self.each(block)
        new[0] = gomax._waits.Shield  # that of another thread
        self.each(block)


class Forgotten(unittest.TestCase):
    def test_what_c_functions_use_outlives_a_scope(self):
        """Entered and never left; and one whose wait was given up."""
        semaphore = gomax.Semaphore()
        alive, s = weakref.ref(semaphore), gomax.scope()
        s.__enter__()
        gomax.gmx.gmx_cancel_use(s._outer, None)
        with gomax.shield():
            s.go_c(gomax.gmx.gmx_mutex_lock, semaphore)  # which no cancellation ends
        del semaphore, s
        gc.collect()
        self.assertTrue(_goroutines.leftovers or not alive())
        until(lambda: (_goroutines.sweep(), not _goroutines.leftovers)[1])
        self.assertIsNone(alive())


class Blocks(Case):
    def test_token(self):
        def begin():
            token, before = gomax.Token(), gomax.gmx.gmx_cancel_current()

            def operation():
                with token.use():
                    gomax.sleep(0.0001)
                    token.go(self.runs, waits)
                token.cancel()

            def check(result, raised):
                self.check_caller(before)
                self.assertFalse(gomax.canceled())
                token.cancel()
                with token.use(), self.assertRaises(gomax.CanceledError):
                    gomax.sleep(60)
                until(lambda: len(self.begun) == len(self.ended))

            return operation, check

        self.everywhere(begin)

    def test_on_cancel(self):
        """Behind the block it does not call the function, and its goroutine ends."""

        def begin():
            token, called, goroutines = gomax.Token(), [], gomax.num_g()

            def operation():
                with token.on_cancel(called.append, 1):
                    pass

            def check(result, raised):
                if raised is not None:
                    raised.__traceback__ = None  # which refers to it, if no block has begun
                token.cancel()
                until(lambda: gomax.num_g() <= goroutines)
                self.assertEqual(called, [])

            return operation, check

        self.everywhere(begin)

    def test_on_cancel_in_a_scope(self):
        def begin():
            called, goroutines, before = [], gomax.num_g(), gomax.gmx.gmx_cancel_current()

            def operation():
                with gomax.scope() as s, gomax.on_cancel(called.append, 1):
                    s.cancel()

            def check(result, raised):
                if raised is not None:
                    raised.__traceback__ = None
                until(lambda: gomax.num_g() <= goroutines)
                self.assertLessEqual(len(called), 1)
                self.check_caller(before)

            return operation, check

        self.everywhere(begin)

    def test_executor(self):
        """It is shut behind the block, and every call that was accepted ends."""

        def begin():
            executors, futures = [], []

            def operation():
                executors.append(gomax.Executor(2))
                with executors[0] as executor:
                    for _ in range(3):
                        futures.append(executor.submit(self.runs, int))

            def check(result, raised):
                for executor in executors:
                    if futures:
                        with self.assertRaises(RuntimeError):
                            executor.submit(int)
                    executor.shutdown()
                    self.assertEqual((executor._workers, len(executor._work)), ({}, 0))
                self.assertEqual([f.result(60) for f in futures], [0] * len(futures))
                self.check_ended()

            return operation, check

        self.everywhere(begin)


    def test_left_twice(self):
        for block in (gomax.Executor(), gomax.Token().on_cancel(int), gomax.Channel(), gomax.CChannel(ctypes.c_int)):
            with block:
                block.__exit__(None, None, None)


class Channels(Case):
    """Behind a block a channel is closed, and what waits there is told."""

    def each(self, new, prepare=lambda c: lambda: None):
        def begin():
            c, entered = new(), []
            end = prepare(c)

            def operation():
                with c:
                    entered.append(1)

            def check(result, raised):
                self.assertEqual(c.closed, bool(entered))
                if not entered:
                    c.close()
                end()

            return operation, check

        self.everywhere(begin)

    def test_block(self):
        self.each(gomax.Channel)
        self.each(lambda: gomax.CChannel(ctypes.c_int))

    def test_coroutine_that_waits(self):
        loop = Loop()
        self.addCleanup(loop.stop)

        def prepare(c):
            f = loop.start(c.recv_async())
            until(lambda: c.waiters.receivers)
            return lambda: self.assertIsInstance(f.exception(60), gomax.ClosedError)

        self.each(gomax.Channel, prepare)


class Queues(Case):
    """What was put and is not done with is counted: no more and no less, also if `put` is interrupted when it has
    put."""

    def each(self, operate, size=0, prepare=lambda q: None, whole=True, gets=False):
        def begin():
            q, got = gomax.Queue(size), []
            end = prepare(q)

            def check(result, raised):
                if end:
                    end()
                while not q.empty():
                    got.append(q.get_nowait())
                for _ in got:
                    q.task_done()
                with gomax.scope(timeout=60):
                    q.join()
                with self.assertRaises(ValueError):
                    q.task_done()
                self.assertLessEqual(len(got), 2)
                if whole and (raised is None or gets):
                    self.assertEqual(got, [1, 2][-len(got) :] if size else [1, 2])

            return lambda: operate(q, got), check

        self.everywhere(begin)

    def test_put(self):
        def coroutines_have_waited(q):
            q.channel._enter()

        for prepare in (lambda q: None, coroutines_have_waited):
            self.each(lambda q, got: (q.put(1), q.put_nowait(2)), prepare=prepare)

    def test_get(self):
        def operate(q, got):
            for get in (q.get, q.get_nowait):
                got += [get()]

        def prepare(q):
            q.put(1)
            q.put(2)

        self.each(operate, prepare=prepare, gets=True)

    def test_put_that_waits(self):
        def prepare(q):
            over = []

            def receives():
                until(lambda: over or q.channel.waiters.senders)
                self.assertEqual(q.get_nowait(), 1)
                q.task_done()

            q.put(1)
            g = gomax.go(receives)
            return lambda: (over.append(1), g.join())

        self.each(lambda q, got: q.put(2), 1, prepare)

    def test_put_async(self):
        self.each(lambda q, got: with_asyncio(lambda: q.put_async(1)), whole=False)

    def test_put_async_that_serves(self):
        loop = Loop()
        self.addCleanup(loop.stop)

        def prepare(q):
            f = loop.start(q.get_async())
            until(lambda: q.channel.waiters.receivers)

            def end():
                if q.channel.waiters.receivers:  # it was not served
                    q.put(1)
                self.assertEqual(f.result(60), 1)
                q.task_done()

            return end

        self.each(lambda q, got: with_asyncio(lambda: q.put_async(1)), prepare=prepare, whole=False)

    def test_put_that_is_canceled_when_it_is_served(self):
        async def main():
            q = gomax.Queue(1)
            q.put(1)
            task = asyncio.ensure_future(q.put_async(2))
            while not q.channel.waiters.senders:
                await asyncio.sleep(0)
            self.assertEqual(q.get_nowait(), 1)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            self.assertEqual(q.get_nowait(), 2)
            q.task_done()
            q.task_done()
            with self.assertRaises(ValueError):
                q.task_done()

        asyncio.run(main())

    def test_join(self):
        def begin():
            q, before = gomax.Queue(), gomax.gmx.gmx_cancel_current()
            q.put(1)
            g = gomax.go(lambda: (gomax.sleep(0.0005), q.task_done()))

            def check(result, raised):
                g.join()
                self.check_caller(before)
                q.join()

            return q.join, check

        self.everywhere(begin)


class Timers(Case):
    def test_a_time_is_received_once(self):
        for receive in (
            lambda t: t.recv(),
            lambda t: t.recv(60),
            lambda t: gomax.select(t, gomax.Channel()).value,
            lambda t: (until(lambda: gomax.gmx.gmx_chan_len(t._chan)), t.recv())[1],
        ):

            def begin():
                t = gomax.after(0.0005)

                def check(result, raised):
                    if raised is not None:
                        result = t.recv(60)
                    self.assertGreater(result, 0)
                    with self.assertRaises(TimeoutError):
                        t.recv(0)

                return lambda: receive(t), check

            self.everywhere(begin)

    def test_made_and_forgotten(self):
        def begin():
            def operation():
                t = gomax.Ticker(0.001)
                t.recv()
                t.reset(0.0001)
                t.recv()
                t.stop()

            return operation, lambda result, raised: None

        self.everywhere(begin)


class CChannels(Case):
    def each(self, operate, sends):
        def begin():
            c, received = gomax.CChannel(ctypes.c_int, 4), []
            if not sends:
                c.send(1)
                c.send(2)

            def check(result, raised):
                with contextlib.suppress(TimeoutError):
                    while True:
                        received.append(c.recv(0))
                if sends:
                    self.assertEqual(received, [1, 2][: len(received)])
                if raised is None or not sends:
                    self.assertEqual(sorted(received), [1, 2])

            return lambda: operate(c, received), check

        self.everywhere(begin)

    def test_send(self):
        self.each(lambda c, received: (c.send(1), gomax.select((c, 2))), True)

    def test_recv(self):
        self.each(lambda c, received: received.extend([c.recv()]), False)
        self.each(lambda c, received: received.extend([gomax.select(c).value]), False)

    def test_recv_that_waits(self):
        def begin():
            c, received, over = gomax.CChannel(ctypes.c_int), [], []

            def sends():
                until(lambda: over or c.waiters.receivers)
                with contextlib.suppress(TimeoutError):
                    c.send(1, 0)
                    sent.append(1)

            sent = []
            g = gomax.go(sends)

            def check(result, raised):
                over.append(1)
                g.join()
                if received != sent:  # what was given back is on its way
                    received.append(c.recv(60))
                with contextlib.suppress(TimeoutError):
                    received.append(c.recv(0))
                self.assertEqual(received, sent)

            return lambda: received.extend([c.recv(60)]), check

        self.everywhere(begin)


class CFunctions(Case):
    def test_the_argument_lives_as_long_as_the_function_uses_it(self):
        for options in ({}, {"inherit": True}, {"cancellable": True}, {"name": "waits", "stack_size": 65536}):

            def begin():
                semaphore = gomax.Semaphore()
                alive, goroutines = weakref.ref(semaphore), gomax.num_g()
                arguments = [semaphore]
                del semaphore

                def operation():
                    gomax.go_c(gomax.gmx.gmx_sema_acquire, arguments.pop(), **options).join(0)

                def check(result, raised):
                    arguments.clear()
                    runs = gomax.num_g() > goroutines
                    if raised is not None:
                        raised.__traceback__ = raised.__context__ = None
                    gc.collect()
                    left = alive()
                    self.assertTrue(left is not None or not runs)
                    if left is not None:
                        left.release()
                    del left
                    until(lambda: (_goroutines.sweep(), not _goroutines.leftovers)[1])
                    self.assertIsNone(alive())

                return operation, check

            self.everywhere(begin, allowed=(TimeoutError,))

    def test_join(self):
        def begin():
            g = gomax.go_c(gomax.gmx.gmx_sema_release, gomax.Semaphore())

            def check(result, raised):
                g.join()
                self.assertIsNone(g._keep)

            return g.join, check

        self.everywhere(begin)


if __name__ == "__main__":
    unittest.main()
