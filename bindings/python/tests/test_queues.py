import asyncio
import queue
import threading
import unittest

import gomax
import points
from gomax import _coroutines


class Queues(unittest.TestCase):
    def test_as_that_of_the_standard_library(self):
        """The same calls of both give the same."""

        def of(q):
            yield q.maxsize, q.qsize(), q.empty(), q.full()
            for n in range(2):
                yield q.put(n)
            yield q.qsize(), q.empty(), q.full()
            for wrong in (lambda: q.put_nowait(3), lambda: q.put(3, False), lambda: q.put(3, timeout=0.001)):
                with self.assertRaises(queue.Full):
                    wrong()
            for wrong in (lambda: q.put(3, timeout=-1), lambda: q.get(timeout=-1)):
                with self.assertRaises(ValueError):
                    wrong()
            yield q.get(), q.get_nowait()
            for wrong in (q.get_nowait, lambda: q.get(False), lambda: q.get(True, 0.001)):
                with self.assertRaises(queue.Empty):
                    wrong()
            for _ in range(2):
                yield q.task_done()
            with self.assertRaises(ValueError):
                q.task_done()
            yield q.join()
            yield q.put(5, block=True, timeout=1)
            yield q.get(True, 1)

        self.assertEqual(list(of(gomax.Queue(2))), list(of(queue.Queue(2))))
        self.assertEqual((gomax.Queue().maxsize, gomax.Queue().full(), gomax.Queue(-1).full()), (0, False, False))
        with self.assertRaises(TypeError):
            gomax.Queue("2")

    def test_workers(self):
        for n in (0, 1, 10):
            q, done = gomax.Queue(n), []

            def works():
                while True:
                    try:
                        item = q.get()
                    except gomax.ShutDown:
                        return
                    done.append(item)
                    q.task_done()

            with gomax.scope() as s:
                for _ in range(3):
                    s.go(works)
                thread = threading.Thread(target=works)
                thread.start()
                for i in range(200):
                    q.put(i)
                q.join()
                self.assertEqual(sorted(done), list(range(200)))
                q.shutdown()
            thread.join()

    def test_shutdown(self):
        q = gomax.Queue()
        q.put(1), q.put(2)
        q.shutdown()
        q.shutdown()
        with self.assertRaises(gomax.ShutDown):
            q.put(3)
        self.assertEqual(q.get(), 1)
        q.task_done()
        waits = gomax.go(q.join)
        self.assertEqual(q.qsize(), 1)
        q.shutdown(immediate=True)
        waits.join()
        for wrong in (q.get, q.get_nowait):
            with self.assertRaises(getattr(queue, "ShutDown", gomax.ShutDown)):
                wrong()
        with self.assertRaises(gomax.ClosedError):
            q.get()

    def test_a_scope_ends_every_wait(self):
        full, empty, unfinished = gomax.Queue(1), gomax.Queue(), gomax.Queue()
        full.put(1), unfinished.put(1)
        for wait in (lambda: full.put(2), empty.get, unfinished.join):
            with gomax.scope() as s:
                g = s.go(wait)
                s.cancel()
            self.assertTrue(g.cancelled())
            with self.assertRaises(TimeoutError):  # the main thread
                with gomax.scope(0.001):
                    wait()
        self.assertEqual(full.get(), 1)
        full.task_done()
        full.join()  # what was not put is not counted
        m = gomax.Mutex()
        with gomax.scope() as s:
            s.cancel()
            with m:  # a lock is none of these waits, as before
                self.assertTrue(gomax.go(m.locked).join())

    def test_coroutines(self):
        async def main():
            q = gomax.Queue(1)

            def doubles():
                for _ in range(3):
                    got.append(q.get() * 2)
                    q.task_done()

            got = []
            g = gomax.go(doubles)
            for i in range(3):
                await q.put_async(i)
            await gomax.go(q.join)
            await g
            self.assertEqual(got, [0, 2, 4])
            q.put(5)
            self.assertEqual(await q.get_async(), 5)
            q.shutdown()
            with self.assertRaises(gomax.ShutDown):
                await q.get_async()
            with self.assertRaises(gomax.ShutDown):
                await q.put_async(1)
            q.task_done()
            q.join()

        asyncio.run(main())

    def test_interrupted(self):
        """An exception at each point of a get: the value was got, or is in the queue."""

        def begin():
            q = gomax.Queue()
            q.channel._waiting = _coroutines.Waiting() if coroutines else None  # as if some had waited there
            q.put(7)

            def check(result, raised):
                self.assertEqual((q.get_nowait() if raised else result), 7)
                self.assertTrue(q.empty())

            return q.get, check

        for coroutines in (False, True):
            points.everywhere(self, points.inject, begin)

    def test_select(self):
        q, stop = gomax.Queue(), gomax.Channel()
        q.put(7)
        self.assertEqual(gomax.select(stop, q.channel), (1, 7, True))
        q.task_done()
        q.join()


if __name__ == "__main__":
    unittest.main()
