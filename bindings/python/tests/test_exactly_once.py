"""Values are received exactly once, whatever comes at whichever point of an operation (points.py): an exception from
outside, a handler that uses the channel itself, the collector with what it finalises, a loop that is closed."""

import asyncio
import contextlib
import gc
import itertools
import os
import random
import signal
import sys
import threading
import unittest

import gomax
from gomax import _channels, _coroutines, _select
from points import Injected, everywhere, inject


def drain(*channels):
    """What is left in channels."""
    found = []
    for c in channels:
        with contextlib.suppress(TimeoutError, gomax.ClosedError):
            while True:
                found.append(c.recv(timeout=0))
    return found


def until(what):
    while not what():
        gomax.sleep(0.0001)


class Loop:
    """A loop of asyncio on a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def start(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


RECEIVING = ("buffered", "returned", "sends", "sends_async", "selects_async", "late_sender")
SENDING = ("nothing", "receives", "receives_async", "late_receiver")


class Case(unittest.TestCase):
    def check_whole(self, *channels):
        self.assertFalse(_coroutines.left)
        for c in channels:
            self.assertEqual((c._boxes, c._blocked, c.waiters), ({}, ({}, {}), (0, 0)))
            if c._waiting:
                self.assertEqual((len(c._waiting.receivers), len(c._waiting.senders), c._waiting.returned), (0, 0, []))

    def setUp(self):
        self.loop = Loop()
        self.addCleanup(self.loop.stop)

    def dying(self, start, n=1):
        async def begin():
            tasks = [asyncio.ensure_future(start()) for _ in range(n)]
            await asyncio.sleep(0)
            for task in tasks:
                task._log_destroy_pending = False
            return tasks

        loop = asyncio.new_event_loop()
        tasks = loop.run_until_complete(begin())
        loop.close()
        return tasks

    # Each partner is there before the operation: it receives or sends one value, on a goroutine or in a coroutine. The
    # test calls the returned function after the operation: it tells what the partner has received, and what it has
    # certainly sent.

    def nothing(self, c):
        return lambda: ([], [])

    def buffered(self, c):
        c.send("sent")
        return lambda: ([], ["sent"])

    def returned(self, c):
        c._give_back(["sent"])
        return lambda: ([], ["sent"])

    def sends(self, c):
        g = gomax.go(c.send, "sent", 60)
        until(lambda: c.waiters.senders or len(c))
        return lambda: self.has_sent(c, g)

    def has_sent(self, c, g):
        """What is received until a sender has ended, and what it has sent."""
        got = []
        while not g.done():
            got += drain(c)
            gomax.sleep(0.0001)
        try:
            g.result()
        except gomax.ClosedError:
            return got + drain(c), []
        return got + drain(c), ["sent"]

    def ended(self, c, g):
        """What a receiver has received."""
        with contextlib.suppress(gomax.ClosedError):
            c.close()
        try:
            return [g.result(60)], []
        except gomax.ClosedError:
            return [], []

    def receives(self, c):
        g = gomax.go(c.recv)
        until(lambda: c.waiters.receivers)
        return lambda: self.ended(c, g)

    def sends_async(self, c):
        f = self.loop.start(c.send_async("sent"))
        until(lambda: c.waiters.senders or len(c))
        return lambda: self.has_sent(c, f)

    def receives_async(self, c):
        f = self.loop.start(c.recv_async())
        until(lambda: c.waiters.receivers)
        return lambda: self.ended(c, f)

    def selects_async(self, c):
        other = gomax.Channel()
        f = self.loop.start(gomax.select_async(other, (c, "sent")))
        until(lambda: c.waiters.senders)

        def end():
            got = drain(c)
            with contextlib.suppress(TimeoutError):
                other.send("for nothing", timeout=0)
            try:
                return got + drain(c), ["sent"] if f.result(60).case else []
            except gomax.ClosedError:
                return got + drain(c), []

        return end

    def late_sender(self, c):
        def run():
            until(lambda: c.waiters.receivers or over)
            c.send("sent", 60)

        over = []
        g = gomax.go(run)

        def end():
            over.append(True)
            return self.has_sent(c, g)

        return end

    def late_receiver(self, c):
        def run():
            until(lambda: c.waiters.senders or over)
            return drain(c)

        over = []
        g = gomax.go(run)

        def end():
            over.append(True)
            return g.join(), []

        return end

    def operations(self, c):
        """Of each kind: what it does, and whether it sends."""
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        never = gomax.Channel()

        def wait(coroutine):
            try:
                return loop.run_until_complete(coroutine)
            except Injected:
                for task in asyncio.all_tasks(loop):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        loop.run_until_complete(task)
                raise

        def nowait(f, *args):
            with contextlib.suppress(gomax.WouldBlockError):
                return f(*args)

        receiving = [
            lambda: c.recv(60),
            lambda: nowait(c.recv_nowait),
            lambda: gomax.select(c, never, timeout=60).value,
            lambda: gomax.select(never, c, c, timeout=60).value,
            lambda: wait(c.recv_async()),
            lambda: wait(gomax.select_async(c, never, timeout=60)).value,
        ]
        sending = [
            lambda: c.send("mine", 60),
            lambda: nowait(c.send_nowait, "mine"),
            lambda: gomax.select((c, "mine"), never, timeout=60),
            lambda: gomax.select(never, (c, "mine"), (c, "mine"), timeout=60),
            lambda: wait(c.send_async("mine")),
            lambda: wait(gomax.select_async((c, "mine"), never, timeout=60)),
        ]
        return [(f, False) for f in receiving] + [(f, True) for f in sending]

    def count(self, c, end, result, error, sends, i):
        received, sent = end()
        while any(not g.done() for g in self.others):
            received += drain(c)
        received += drain(c)
        if not sends and error is None and result is not None:
            received.append(result)
        mine = received.count("mine")
        self.assertLessEqual(mine, sends)
        if sends and error is None and i != 7:  # which may have found no room
            self.assertEqual(mine, 1)
        self.assertEqual(sorted(received), sorted(sent + self.sent + ["mine"] * mine))
        self.check_whole(c)


FULL = bool(os.environ.get("GMX_STRESS"))
"""All points; otherwise some of them, other ones in each run."""


class Points(Case):
    def each(self, what, part=8, prepare=lambda: None, partners=RECEIVING + SENDING):
        for capacity in (0, 1):
            for partner in partners:
                for i in range(6) if partner in RECEIVING else range(6, 12):
                    if partner in ("buffered", "nothing") and not capacity:
                        continue
                    if partner == "selects_async" and capacity:
                        continue  # it would not wait
                    with self.subTest(capacity=capacity, partner=partner, operation=i):

                        def begin():
                            self.c, self.sent, self.others = gomax.Channel(capacity), [], []
                            prepare()
                            end = getattr(self, partner)(self.c)
                            f, sends = self.operations(self.c)[i]
                            return f, lambda result, error: self.count(self.c, end, result, error, sends, i)

                        everywhere(self, what, begin, allowed=self.ALLOWED, part=1 if FULL else part)
                        self.doCleanups()
                        self.setUp()

    ALLOWED = ()


class Interrupted(Points):
    def test_by_an_exception(self):
        self.each(inject)


class Handlers(Points):
    """What runs there uses the channel itself."""

    ALLOWED = (gomax.ClosedError,)

    def test_that_sends(self):
        def send():
            with contextlib.suppress(TimeoutError):
                self.c.send("handler", timeout=0)
                self.sent.append("handler")

        self.each(send, 16, partners=RECEIVING)  # otherwise it may take the room

    def test_that_takes_and_gives(self):
        def take():
            with contextlib.suppress(TimeoutError):
                self.others.append(gomax.go(self.c.send, self.c.recv(timeout=0)))

        self.each(take, 16)

    def test_that_closes(self):
        self.each(lambda: self.c.close(), 16)

    def test_that_waits(self):
        def wait():
            gomax.go(lambda: (drain(gomax.Channel(1)), self.c.waiters, self.c.closed)).join()
            gomax.sleep(0.0001)

        self.each(wait, 16)

    def test_that_collects(self):
        """Coroutines that wait there on a loop which is closed."""

        dying = []

        def prepare():
            dying[:] = [self.dying(lambda: gomax.select_async(self.c, gomax.Channel()))]

        def forget():
            dying.clear()
            gc.collect(0)

        self.each(forget, 32, prepare)
        dying.clear()


class Collected(Case):
    """Coroutines that are collected while they wait."""

    def test_after_their_loop_was_closed(self):
        for start in (lambda: c.recv_async(), lambda: gomax.select_async(c, gomax.Channel())):
            for n in (1, 5):
                c = gomax.Channel(2)
                tasks = self.dying(start, n)
                c.send("once")
                self.assertEqual(len(c), 1)
                del tasks
                gc.collect()
                self.assertEqual(drain(c), ["once"])
                self.check_whole(c)

    def test_within_an_operation(self):
        c = gomax.Channel(200)
        waiting = [self.dying(lambda: c.recv_async(), 50) for _ in range(3)]
        before = gc.get_threshold()
        gc.set_threshold(1)
        try:
            for i, tasks in enumerate(waiting):
                while tasks:
                    del tasks[:5]
                    c.send(i)
        finally:
            gc.set_threshold(*before)
        del tasks
        gc.collect()
        self.assertEqual(drain(c), [0] * 10 + [1] * 10 + [2] * 10)
        self.check_whole(c)

    def test_while_another_thread_has_the_lock(self):
        """The collector does not wait for it."""
        held, end, channels = threading.Event(), threading.Event(), [gomax.Channel(1)]
        tasks = self.dying(channels[0].recv_async)

        def hold():
            with _coroutines.meeting:
                held.set()
                end.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        collected = threading.Thread(target=lambda: (tasks.clear(), channels.clear(), gc.collect()))
        collected.start()
        collected.join(10)
        waits = collected.is_alive()
        end.set()
        thread.join()
        collected.join()
        self.assertFalse(waits)
        _coroutines.sweep()
        self.assertFalse(_coroutines.left)

    def test_finalisers_use_the_channel(self):
        c, sent = gomax.Channel(gomax.UNBOUNDED), []

        class Sends:
            def __init__(self):
                self.me = self

            def __del__(self):
                c.send("del", timeout=0)
                sent.append(1)
                gomax.go(int)

        async def main():
            received = 0
            waiter = asyncio.ensure_future(c.recv_async())
            for _ in range(300):
                Sends()
                if waiter.done():
                    received += 1
                    waiter = asyncio.ensure_future(c.recv_async())
                await c.send_async("mine")
                received += bool(await c.recv_async())
                if not waiter.done():
                    await asyncio.sleep(0)
            waiter.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                received += bool(await waiter)
            return received

        before = gc.get_threshold()
        gc.set_threshold(1)
        try:
            received = asyncio.run(main())
        finally:
            gc.set_threshold(*before)
        gc.collect()
        self.assertEqual(received + len(drain(c)), 300 + len(sent))
        self.assertEqual(len(sent), 300)
        self.check_whole(c)


class Threads(Case):
    def test_signals(self):
        """A handler that sends, and starts goroutines, where the main thread receives and does too."""
        for waits in (lambda c: None, lambda c: self.loop.start(c.recv_async())):
            c, handled, received = gomax.Channel(gomax.UNBOUNDED), [], []
            coroutine, numbers = waits(c), itertools.count()

            def handler(number, frame):
                c.send(next(numbers), timeout=0)  # (one handler may interrupt another)
                handled.append(gomax.go(int))

            before = signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
            try:
                while len(handled) < 100:
                    gomax.go(int)
                    received += drain(c)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
            received += drain(c)
            if coroutine:
                received.append(coroutine.result(60))
            self.assertEqual(sorted(received), list(range(next(numbers))))
            self.check_whole(c)

    def test_switches(self):
        """Producers and consumers, threads and coroutines, with switches all the time."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            for capacity in (0, 1, 10):
                self.produce_and_consume(capacity, 20000 if FULL else 600)
        finally:
            sys.setswitchinterval(before)

    def produce_and_consume(self, capacity, n):
        c, never = gomax.Channel(capacity), gomax.Channel()

        async def produce(first):
            for i in range(first, n, 4):
                await c.send_async(i) if i % 3 else await gomax.select_async((c, i), never)

        async def consume():
            got = []
            while True:
                try:
                    # (not a task: one that ends when its time is up keeps its result, from 3.12 on)
                    got.append(await asyncio.wait_for(c.recv_async(), random.choice((None, 0.0001))))
                except asyncio.TimeoutError:
                    pass
                except gomax.ClosedError:
                    return got

        def send(first):
            for i in range(first, n, 4):
                c.send(i) if i % 3 else gomax.select((c, i), never)

        def receive():
            got = []
            while True:
                try:
                    got.append(c.recv(random.choice((None, 0.0001))))
                except TimeoutError:
                    pass
                except gomax.ClosedError:
                    return got

        consumers = [gomax.go(receive), gomax.go(receive), self.loop.start(consume()), self.loop.start(consume())]
        producers = [gomax.go(send, 0), gomax.go(send, 1), self.loop.start(produce(2)), self.loop.start(produce(3))]
        for g in producers:
            g.result(600)
        c.close()
        got = [value for g in consumers for value in g.result(600)]
        self.assertEqual(sorted(got), list(range(n)))
        self.check_whole(c)

    def test_closed_with_a_value_that_was_given_back(self):
        """A thread that waits is not told that the channel is closed while a value is left."""
        wait = _channels.wait

        def comes_between(*args, **rest):
            if threading.current_thread() is threading.main_thread() and not c.closed:
                c._give_back(["left"])
                c.close()
            return wait(*args, **rest)

        receive = (lambda: c.recv(), lambda: gomax.select(c, None).value, lambda: gomax.select(c, gomax.Channel()).value)
        for module in (_channels, _select):
            self.addCleanup(setattr, module, "wait", wait)
            module.wait = comes_between
        for _ in range(40):  # the library chooses between the end of the channel and its bell
            for f in receive:
                c = gomax.Channel()
                self.assertEqual(f(), "left")
                self.check_whole(c)


class Model(Case):
    """Operations at random, without a wait, beside a queue that says what they do."""

    def test_random_operations(self):
        seed = random.randrange(2**32)
        with self.subTest(seed=seed):
            chance = random.Random(seed)
            for _ in range(400 if FULL else 20):
                asyncio.run(self.turn(chance))

    async def turn(self, chance):
        channels = [gomax.Channel(chance.choice((0, 1, 2, gomax.UNBOUNDED))) for _ in range(2)]
        queues, closed = [[], []], [False, False]
        count = 0
        for _ in range(200):
            i = chance.randrange(2)
            c, queue = channels[i], queues[i]
            returned = len(c._waiting.returned) if c._waiting else 0  # which do not count for its capacity
            room = len(queue) - returned < c.capacity
            kind = chance.choice(("send", "recv", "select", "give back", "cancel", "close" if chance.random() < 0.02 else "send"))
            count += 1
            how = chance.choice(("thread", "coroutine"))
            try:
                if kind == "send":
                    if how == "thread":
                        c.send(count, timeout=0)
                    else:
                        await gomax.select_async((c, count), timeout=0)
                    self.assertTrue(room and not closed[i])
                    queue.append(count)
                elif kind == "recv":
                    value = c.recv(timeout=0) if how == "thread" else (await gomax.select_async(c, timeout=0)).value
                    if value is None:
                        raise gomax.ClosedError
                    self.assertEqual(value, queue.pop(0))
                elif kind == "select":
                    cases = (channels[0], channels[1])
                    found = gomax.select(*cases, timeout=0) if how == "thread" else await gomax.select_async(*cases, timeout=0)
                    if found.ok:
                        self.assertEqual(found.value, queues[found.case].pop(0))
                    else:
                        self.assertTrue(closed[found.case] and not queues[found.case])
                elif kind == "give back" and queue:
                    box = [c.recv(timeout=0)]
                    self.assertEqual(box, queue[:1])
                    c._give_back(box)
                elif kind == "cancel" and not queue and not closed[i]:
                    task = asyncio.ensure_future(c.recv_async())
                    await asyncio.sleep(0)
                    if how == "thread":
                        c.send(count, timeout=0)  # it is served, and canceled before it has taken it
                        queue.append(count)
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        self.assertEqual(await task, queue.pop(0))
                elif kind == "close":
                    c.close()
                    self.assertFalse(closed[i])
                    closed[i] = True
            except TimeoutError:
                if kind == "send":
                    self.assertFalse(room)
                elif kind == "recv":
                    self.assertEqual(queue, [])
                else:
                    self.assertEqual(queues, [[], []])
            except gomax.ClosedError:
                self.assertTrue(closed[i])
                if kind == "recv":
                    self.assertEqual(queue, [])
            self.assertEqual([len(c) for c in channels], [len(q) for q in queues])
        for c, queue in zip(channels, queues):
            self.assertEqual(drain(c), queue)
            self.check_whole(c)


if __name__ == "__main__":
    unittest.main()
