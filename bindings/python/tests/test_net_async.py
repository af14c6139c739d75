"""Connections, for coroutines: on asyncio, and on trio if it is there."""

import asyncio
import gc
import os
import select
import socket
import time
import unittest

import gomax
from gomax import net
from nets import descriptors, fill, pair, server, threads

try:
    import trio
except ImportError:  # ci/python.sh installs it, if that can be done
    trio = None

WAITING = 1000


def run(main):
    """With an end: what is lost here would hang."""

    async def limited():
        return await asyncio.wait_for(main(), 600)

    return asyncio.run(limited())


async def waiting(conn, side=0, n=1):
    """Until so many coroutines wait there."""
    while sum(len(place.waiting[side]) for place in conn._places) < n:
        await asyncio.sleep(0)


async def echo_async(conn):
    with conn:
        while data := await conn.read_async(65536):
            await conn.write_async(data)


class Connections(unittest.TestCase):
    def test_coroutines_and_goroutines_meet(self):
        """Each kind of client at each kind of server."""

        async def main():
            by_goroutines, accepts = server()
            by_coroutines = net.listen_tcp("127.0.0.1")
            tasks = []

            async def serve():
                async for conn in by_coroutines:
                    tasks.append(asyncio.ensure_future(echo_async(conn)))

            serves = asyncio.ensure_future(serve())

            async def client(address, i):
                with await net.dial_async("tcp", *address) as conn:
                    for j in range(5):
                        message = b"%d %d" % (i, j) * 100
                        self.assertEqual(await conn.write_async(message), len(message))
                        self.assertEqual(await conn.read_full_async(len(message)), message)

            def thread(address, i):
                with net.dial("tcp", *address) as conn:
                    conn.write(b"%d" % i)
                    return conn.read_full(len(b"%d" % i))

            for listener in (by_goroutines, by_coroutines):
                address = listener.getsockname()
                gs = [gomax.go(thread, address, i) for i in range(20)]
                await asyncio.gather(*[client(address, i) for i in range(100)])
                self.assertEqual([await g for g in gs], [b"%d" % i for i in range(20)])
            by_coroutines.close()
            await serves
            await asyncio.gather(*tasks)
            by_goroutines.close()
            await accepts

        run(main)

    def test_many_wait_without_threads(self):
        async def main():
            pairs = [pair() for _ in range(WAITING)]
            before = threads()
            tasks = [asyncio.ensure_future(b.read_async(10)) for _, b in pairs]
            while sum(len(b._places) for _, b in pairs) < WAITING:
                await asyncio.sleep(0)
            self.assertLessEqual(threads(), before)
            for i, (a, _) in enumerate(pairs):
                await a.write_async(b"%d" % i)
            got = await asyncio.gather(*tasks)
            self.assertEqual(got, [b"%d" % i for i in range(WAITING)])
            self.assertLessEqual(threads(), before)
            for a, b in pairs:
                a.close()
                b.close()

        run(main)

    def test_large_writes_to_a_slow_reader(self):
        async def main():
            a, b = pair()
            data = os.urandom(3_000_000)
            task = asyncio.ensure_future(a.write_async(data))
            got = bytearray()
            while len(got) < len(data):
                got += await b.read_async(10_000)
                await asyncio.sleep(0)
            self.assertEqual((await task, bytes(got) == data), (len(data), True))
            a.close()
            b.close()

        run(main)

    def test_turns(self):
        """Readers of one connection take turns, and so do writers: nothing is mixed, and none is forgotten."""

        async def main():
            a, b = pair()
            size = 300_000
            writes = [asyncio.ensure_future(a.write_async(bytes([i]) * size)) for i in range(5)]
            reads = [asyncio.ensure_future(b.read_full_async(size)) for _ in range(5)]
            got = await asyncio.gather(*reads)
            self.assertEqual(got, [bytes([i]) * size for i in range(5)])
            self.assertEqual(await asyncio.gather(*writes), [size] * 5)
            reads = [asyncio.ensure_future(b.read_async(2)) for _ in range(5)]
            await waiting(b, n=5)
            a.write(b"0123456789")  # one event
            self.assertEqual(await asyncio.gather(*reads), [b"01", b"23", b"45", b"67", b"89"])
            a.close()
            b.close()

        run(main)

    def test_both_sides_wait(self):
        async def main():
            a, b = pair()
            n = fill(a)
            reads = asyncio.ensure_future(a.read_async(10))
            writes = asyncio.ensure_future(a.write_async(b"last"))
            await waiting(a, 0)
            await waiting(a, 1)
            b.write(b"first")
            self.assertEqual(await reads, b"first")
            self.assertFalse(writes.done())
            self.assertEqual(len(await b.read_full_async(n)), n)
            self.assertEqual((await writes, await b.read_async(10)), (4, b"last"))
            a.close()
            b.close()

        run(main)

    def test_deadline(self):
        async def main():
            a, b = pair()
            b.set_deadline(time.monotonic() + 0.01)
            with self.assertRaises(TimeoutError):
                await b.read_async(1)
            with self.assertRaises(TimeoutError):
                await b.read_async(1)
            b.set_deadline(None)
            task = asyncio.ensure_future(b.read_full_async(5))
            a.write(b"abc")
            await waiting(b)
            gomax.go(b.set_deadline, time.monotonic() - 1).join()  # from another thread
            with self.assertRaises(TimeoutError) as raised:
                await task
            self.assertEqual(raised.exception.partial, b"abc")
            b.set_deadline(None)
            task = asyncio.ensure_future(b.read_async(5))
            await waiting(b)
            b.set_deadline(time.monotonic() + 1000)
            b.set_deadline(None)
            a.write(b"x")
            self.assertEqual(await task, b"x")
            a.close()
            b.close()

        run(main)

    def test_close(self):
        async def main():
            for close in (
                lambda conn: conn.close(),
                lambda conn: gomax.go(conn.close).join(),
                lambda conn: os.close(conn.detach()),
            ):
                a, b = pair()
                fill(b)
                listener = net.listen_tcp("127.0.0.1")
                c, d = pair()
                waits = (c.read_full_async(3), c.read_async(1), b.write_async(b"x"), listener.accept_async())
                tasks = [asyncio.ensure_future(wait) for wait in waits]
                await waiting(c, 0, 2)
                await waiting(b, 1)
                await waiting(listener)
                for conn in (b, c, listener):
                    close(conn)
                for task in tasks:
                    with self.assertRaises(net.ClosedError):
                        await task
                for call in (c.read_async(1), c.write_async(b"x"), listener.accept_async(), c.read_full_async(5)):
                    with self.assertRaises(net.ClosedError):
                        await call
                a.close()
                d.close()

        run(main)

    def test_close_again(self):
        """It does nothing to a connection that has the number by now."""

        async def main():
            a, b = pair()
            waits = asyncio.ensure_future(b.read_async(1))
            await waiting(b)
            fd = b.fileno()
            b.close()
            with self.assertRaises(net.ClosedError):
                await waits
            others = []
            while not any(conn.fileno() == fd for conn in others):
                others += pair()
            tasks = [asyncio.ensure_future(conn.read_async(1)) for conn in others]
            for conn in others:
                await waiting(conn)
            b.close()
            with self.assertRaises(net.ClosedError):
                b.detach()
            with self.assertRaises(net.ClosedError):
                await b.read_async(1)
            for conn in others:
                await conn.write_async(b"x")
            self.assertEqual(await asyncio.gather(*tasks), [b"x"] * len(others))
            for conn in (a, *others):
                conn.close()

        run(main)

    def test_close_by_many_threads(self):
        async def main():
            for _ in range(50):
                a, b = pair()
                waits = asyncio.ensure_future(b.read_async(1))
                await waiting(b)
                gs = [gomax.go(b.close) for _ in range(4)]
                with self.assertRaises(net.ClosedError):
                    await waits
                for g in gs:
                    await g
                a.close()

        run(main)

    def test_close_while_it_begins_to_wait(self):
        """From another thread, at any moment: it always ends, and no number of another descriptor is read."""

        async def main():
            for _ in range(300):
                a, b = pair()
                g = gomax.go(b.close)
                with self.assertRaises(net.ClosedError):
                    while True:
                        await b.read_async(1)
                await g
                a.close()

        run(main)

    def test_cancellation(self):
        async def main():
            a, b = pair()
            reads = [asyncio.ensure_future(b.read_async(10)) for _ in range(3)]
            await waiting(b, n=3)
            a.write(b"x")
            reads[0].cancel()
            reads[2].cancel()
            with self.assertRaises(asyncio.CancelledError):
                await reads[0]
            self.assertEqual(await reads[1], b"x")  # which the first did not take
            task = asyncio.ensure_future(b.read_full_async(10))
            a.write(b"abc")
            await waiting(b)
            while b.wait(select.POLLIN | select.POLLOUT) & select.POLLIN:
                await asyncio.sleep(0)  # until it has read that
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            data = bytearray(1 << 22)
            task = asyncio.ensure_future(a.write_async(data))
            await waiting(a, 1)
            with self.assertRaises(BufferError):
                data.append(1)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            data.append(1)
            self.assertEqual([len(p.waiting[0]) + len(p.waiting[1]) for p in a._places + b._places], [0] * 2)
            a.close()
            b.close()

        run(main)

    def test_cancelled_write_says_how_much(self):
        async def main():
            a, b = pair()
            data = os.urandom(1 << 22)

            async def write():
                try:
                    await a.write_async(data)
                except asyncio.CancelledError as e:
                    return e.characters_written

            task = asyncio.ensure_future(write())
            await waiting(a, 1)
            task.cancel()
            n = await task
            self.assertTrue(0 < n < len(data))
            self.assertEqual(await b.read_full_async(n), data[:n])
            with self.assertRaises(TimeoutError):
                b.read(1, timeout=0)
            a.close()
            b.close()

        run(main)

    def test_scope(self):
        async def main():
            a, b = pair()
            async with gomax.move_on_after(0.01) as s:
                await b.read_async(1)
            self.assertTrue(s.timed_out)
            with self.assertRaises(ZeroDivisionError):
                async with gomax.scope() as s:
                    s.go(lambda: 1 / 0)
                    await b.read_async(1)
            a.write(b"x")
            self.assertEqual(await b.read_async(1), b"x")
            a.close()
            b.close()

        run(main)

    def test_beside_a_thread_that_reads(self):
        async def main():
            a, b = pair()
            got = gomax.Channel(gomax.UNBOUNDED)

            def reads():
                while data := b.read(3):
                    got.send(data)

            async def reads_async():
                while data := await b.read_async(3):
                    got.send(data)

            g, tasks = gomax.go(reads), [asyncio.ensure_future(reads_async()) for _ in range(2)]
            data = bytes(range(256)) * 40
            for i in range(0, len(data), 16):
                await a.write_async(data[i : i + 16])
                await asyncio.sleep(0)
            a.shutdown(socket.SHUT_WR)
            await asyncio.gather(*tasks)
            await g
            got.close()
            self.assertEqual(sorted(b"".join(got)), sorted(data))
            a.close()
            b.close()

        run(main)

    def test_several_loops_wait_for_one(self):
        listener = net.listen_tcp("127.0.0.1")
        address = listener.getsockname()
        accepted = gomax.Channel(100)

        async def accepts():
            async for conn in listener:
                accepted.send(conn)

        with gomax.scope() as s:
            gs = [s.go(asyncio.run, accepts()) for _ in range(4)]
            conns = [net.dial("tcp", *address) for _ in range(50)]
            taken = [accepted.recv() for _ in range(50)]
            listener.close()
        for g in gs:
            g.join()
        self.assertEqual({c.getsockname() for c in conns}, {c.getpeername() for c in taken})
        for conn in conns + taken:
            conn.close()

    def test_dial(self):
        async def main():
            listener, accepts = server()
            port = listener.getsockname()[1]
            for network, host, at in (
                ("tcp", "127.0.0.1", port),
                ("tcp4", "127.0.0.1", str(port)),
                ("tcp", "localhost", port),
            ):
                with await net.dial_async(network, host, at) as conn:
                    await conn.write_async(b"x")
                    self.assertEqual(await conn.read_async(1), b"x")
            listener.close()
            await accepts
            for host in ("127.0.0.1", "localhost"):
                with self.assertRaises(ConnectionRefusedError):
                    await net.dial_async("tcp", host, port)
            with self.assertRaises(socket.gaierror):
                await net.dial_async("tcp", "no-such-host.invalid", port)
            with self.assertRaises(ValueError):
                await net.dial_async("smoke", "signals", 1)
            with self.assertRaises(FileNotFoundError):
                await net.dial_async("unix", "/no/such/socket")

        run(main)

    def test_dial_that_is_canceled(self):
        """To a listener whose queue is full."""

        async def main():
            sock = socket.socket()
            sock.bind(("127.0.0.1", 0))
            sock.listen(0)
            with self.assertRaises(TimeoutError):
                fillers = []
                while True:
                    fillers.append(net.dial("tcp", *sock.getsockname(), timeout=0.05))
            before = descriptors()
            for host in ("127.0.0.1", "localhost"):
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(net.dial_async("tcp4", host, sock.getsockname()[1]), 0.01)
            while descriptors() - before - {str(loop_epoll())}:
                await asyncio.sleep(0.001)  # the goroutine of the name
            for conn in fillers:
                conn.close()
            sock.close()

        def loop_epoll():
            return asyncio.get_running_loop()._gomax_poller().epoll.fileno()

        run(main)

    def test_nothing_stays(self):
        """Of many loops, one after the other, at one listener."""
        listener = net.listen_tcp("127.0.0.1")

        async def main():
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(listener.accept_async(), 0.001)

        run(main)
        gc.collect()
        before = len(descriptors())
        for _ in range(20):
            run(main)
        self.assertLessEqual(len(descriptors()), before + 1)
        self.assertLessEqual(len(listener._places), 2)
        listener.close()

    def test_loop_that_ends(self):
        """What waited there takes nothing."""
        a, b = pair()
        loop = asyncio.new_event_loop()

        async def begin():
            task = asyncio.ensure_future(b.read_async(1))
            await waiting(b)
            task._log_destroy_pending = False
            return task

        task = loop.run_until_complete(begin())
        loop.close()
        a.write(b"x")
        b.set_deadline(None)
        del task
        gc.collect()
        self.assertEqual(run(lambda: b.read_async(1)), b"x")
        a.close()
        b.close()

    def test_in_a_goroutine(self):
        def main():
            a, b = pair()

            async def both():
                task = asyncio.ensure_future(b.read_async(5))
                await waiting(b)
                await a.write_async(b"hello")
                return await task

            with a, b:
                return run(both)

        self.assertEqual(gomax.go(main).join(), b"hello")

    def test_wrong_calls(self):
        async def main():
            a, b = pair()
            reads = a.read_async(-1), a.read_async("1"), a.read_full_async(-1)
            for call in (*reads, a.write_async("text"), a.write_async(5)):
                with self.assertRaises((TypeError, ValueError)):
                    await call
            a.close()
            b.close()

        run(main)

    def test_pipes_and_files(self):
        async def main():
            reader, writer = map(net.Conn, os.pipe())
            task = asyncio.ensure_future(reader.read_async(10))
            await waiting(reader)
            await writer.write_async(b"pipe")
            self.assertEqual(await task, b"pipe")
            reader.close()
            writer.close()
            with net.Conn(os.open(__file__, os.O_RDONLY)) as file:
                self.assertEqual(await file.read_async(3), b'"""')

        run(main)


class Trio(unittest.TestCase):
    def test_echo(self):
        async def main():
            listener = net.listen_tcp("127.0.0.1")
            address = listener.getsockname()

            async def client(i):
                with await net.dial_async("tcp", *address) as conn:
                    await conn.write_async(b"%d" % i)
                    got.append((i, await conn.read_full_async(len(b"%d" % i))))

            got = []
            async with trio.open_nursery() as servers:

                async def serve():
                    async for conn in listener:
                        servers.start_soon(echo_async, conn)

                servers.start_soon(serve)
                async with trio.open_nursery() as clients:
                    for i in range(50):
                        clients.start_soon(client, i)
                listener.close()
            self.assertEqual(sorted(got), [(i, b"%d" % i) for i in range(50)])

        for _ in range(2):
            trio.run(main)

    def test_cancellation_and_close(self):
        async def main():
            a, b = pair()
            with trio.move_on_after(0.01) as scope:
                await b.read_async(1)
            self.assertTrue(scope.cancelled_caught)
            b.set_deadline(time.monotonic() + 0.01)
            with self.assertRaises(TimeoutError):
                await b.read_async(1)
            b.set_deadline(None)
            async with trio.open_nursery() as nursery:

                async def reads():
                    with self.assertRaises(net.ClosedError):
                        await b.read_async(1)

                nursery.start_soon(reads)
                await trio.sleep(0.01)
                gomax.go(b.close).join()
            a.close()

        trio.run(main)


if trio is None:
    del Trio


if __name__ == "__main__":
    unittest.main()
