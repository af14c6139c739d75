"""The scenarios of docs/meaning.md, as a program for ci/meaning.py: without an argument it prints their names, with one
it runs that scenario and prints its outcome."""

import sys
import threading
import time

import gomax

SCENARIOS = {}
SHORT = 0.02  # a time that is waited for, and no limit


class Failed(Exception):
    """A failure of the user's, with its number."""


def scenario(function):
    SCENARIOS[function.__name__.replace("_", "-")] = function
    return function


def outcome(call, *args, **options):
    """What a call came to: its value, `ok`, or the name of its error."""
    try:
        value = call(*args, **options)
    except Failed as e:
        return f"failed {e}"
    except gomax.CanceledError:
        return "canceled"
    except TimeoutError:
        return "timeout"
    except gomax.ClosedError:
        return "closed"
    except gomax.WouldBlockError:
        return "not now"
    except (gomax.Error, RuntimeError, ValueError) as e:
        print(f"{type(e).__name__}: {e}", file=sys.stderr)
        return "misuse"
    return "ok" if value is None or value is True else value


def fail(number):
    raise Failed(number)


def wait(started=None):
    """Waits for what does not come. `started` is told just before."""
    if started:
        started.send(None)
    gomax.Channel().recv()


def waits_then(fails, started):
    """Waits, is canceled, and fails for it."""
    try:
        wait(started)
    except gomax.CanceledError:
        fail(fails)


def until_waiting(channel):
    """Until a goroutine waits there to receive: nothing but the channel can tell."""
    while not channel.waiters.receivers:
        time.sleep(0.0005)


# ---- scopes ----


@scenario
def scope_all_end():
    with gomax.scope() as s:
        for _ in range(3):
            s.go(gomax.sleep, 0.001)


@scenario
def scope_child_fails():
    with gomax.scope() as s:
        s.go(wait)
        s.go(fail, 1)


@scenario
def scope_child_fails_body_waits():
    with gomax.scope() as s:
        s.go(fail, 1)
        wait()


@scenario
def scope_body_fails():
    with gomax.scope() as s:
        s.go(wait)
        fail(1)


@scenario
def scope_first_failure():
    started = gomax.Channel()
    try:
        with gomax.scope() as s:
            s.go(waits_then, 2, started)
            started.recv()
            s.go(fail, 1)
    except Exception as e:
        raise e.exceptions[0] if hasattr(e, "exceptions") else e


@scenario
def scope_cancel_child():
    started = gomax.Channel()
    with gomax.scope() as s:
        s.go(wait, started)
        started.recv()
        s.cancel()


@scenario
def scope_cancel_body():
    with gomax.scope() as s:
        s.go(s.cancel)
        wait()


@scenario
def scope_cancel_then_failure():
    started = gomax.Channel()
    with gomax.scope() as s:
        s.go(waits_then, 1, started)
        started.recv()
        s.cancel()


@scenario
def scope_deadline_child():
    with gomax.scope(SHORT) as s:
        s.go(wait)


@scenario
def scope_deadline_body():
    with gomax.scope(SHORT):
        wait()


@scenario
def scope_deadline_unneeded():
    def computes():
        while not gomax.canceled():
            pass

    with gomax.scope(SHORT) as s:
        s.go(computes)


@scenario
def scope_deadline_handled():
    def handles():
        try:
            wait()
        except gomax.CanceledError:
            pass

    with gomax.scope(SHORT) as s:
        s.go(handles)


@scenario
def scope_deadline_and_failure():
    with gomax.scope(SHORT) as s:
        s.go(waits_then, 1, gomax.Channel(1))


@scenario
def scope_deadline_meets_failure():
    with gomax.scope(SHORT) as s:
        s.go(wait)
        s.go(waits_then, 1, gomax.Channel(1))
        wait()


def nested(outer, ends):
    """An inner scope that `ends`, in an outer one: what comes out of both."""
    inner = []

    def body():
        with gomax.scope() as s:
            ends(s)

    def both():
        with outer:
            try:
                body()
            except BaseException as e:
                inner.append(e)
                raise

    last = outcome(both)
    return f"{outcome(lambda: reraise(inner))}, {last}"


def reraise(errors):
    for e in errors:
        raise e


@scenario
def scope_outer_canceled():
    outer = gomax.scope()

    def waits(_):
        outer.go(outer.cancel)
        wait()

    return nested(outer, waits)


@scenario
def scope_outer_deadline():
    return nested(gomax.scope(SHORT), lambda _: wait())


@scenario
def scope_outer_deadline_child():
    return nested(gomax.scope(SHORT), lambda s: s.go(wait))


@scenario
def scope_foreign_cancel():
    token, started = gomax.Token(), gomax.Channel()

    def waits_under_another():
        with token.use():
            wait(started)

    with gomax.scope() as s:
        s.go(waits_under_another)
        started.recv()
        token.cancel()


@scenario
def scope_go_after_leave():
    with gomax.scope() as s:
        pass
    s.go(wait)


@scenario
def scope_leave_pinned():
    release = gomax.Channel()

    def leave():
        with gomax.scope() as s:
            s.go(release.recv)
            gomax.gmx.gmx_exit_syscall()  # Python code is in a syscall, where it has no P to be pinned to
            gomax.gmx.gmx_pin()

    def pinned():
        try:
            leave()
        finally:
            gomax.gmx.gmx_unpin()
            gomax.gmx.gmx_enter_syscall()
            release.close()

    gomax.go(pinned).join()


@scenario
def scope_result():
    with gomax.scope() as s:
        g = s.go(lambda: 7)
    return g.join()


# ---- goroutines ----


@scenario
def join_value():
    return gomax.go(lambda: 7).join()


@scenario
def join_failed():
    gomax.go(fail, 1).join()


@scenario
def join_canceled():
    started = gomax.Channel()
    g = gomax.go(wait, started)
    started.recv()
    g.cancel()
    g.join()


@scenario
def join_timeout():
    release = gomax.Channel()
    g = gomax.go(release.recv)
    first = outcome(g.join, SHORT)
    release.send(7)
    return f"{first}, {outcome(g.join)}"


# ---- channels ----


@scenario
def recv_zero_timeout():
    empty, full = gomax.Channel(), gomax.Channel(1)
    full.send(7)
    return f"{outcome(empty.recv, timeout=0)}, {outcome(full.recv, timeout=0)}"


@scenario
def recv_timeout():
    gomax.Channel().recv(timeout=SHORT)


@scenario
def recv_past_moment():
    moment = time.monotonic() - 1e6
    gomax.Channel().recv(timeout=moment - time.monotonic())


@scenario
def recv_canceled():
    token, channel = gomax.Token(), gomax.Channel()

    def cancels():
        until_waiting(channel)
        token.cancel()

    g = gomax.go(cancels)
    with token.use():
        try:
            channel.recv()
        finally:
            with gomax.shield():
                g.join()


@scenario
def recv_canceled_first():
    token = gomax.Token()
    token.cancel()
    with token.use():
        gomax.Channel().recv()


@scenario
def recv_token_deadline():
    token = gomax.Token(SHORT)
    with token.use():
        ended = outcome(wait)
    return f"{ended}, {outcome(reraise, [token.reason])}"


@scenario
def recv_closed():
    channel = gomax.Channel()
    channel.close()
    channel.recv()


@scenario
def recv_left():
    channel = gomax.Channel(1)
    channel.send(7)
    channel.close()
    return f"{outcome(channel.recv)}, {outcome(channel.recv)}"


@scenario
def recv_iterate():
    channel = gomax.Channel(2)
    with channel:
        channel.send(3)
        channel.send(4)
    return sum(channel)


@scenario
def send_closed():
    channel = gomax.Channel(1)
    channel.close()
    channel.send(1)


@scenario
def send_timeout():
    channel = gomax.Channel(1)
    channel.send(1)
    channel.send(2, timeout=SHORT)


@scenario
def close_twice():
    channel = gomax.Channel()
    channel.close()
    channel.close()


@scenario
def try_recv():
    gomax.Channel().recv_nowait()


@scenario
def try_send():
    channel = gomax.Channel(1)
    channel.send(1)
    channel.send_nowait(2)


# ---- select ----


@scenario
def select_default():
    gomax.select_nowait(gomax.Channel(), gomax.Channel())


@scenario
def select_timeout():
    gomax.select(gomax.Channel(), gomax.Channel(), timeout=SHORT)


@scenario
def select_closed():
    channel = gomax.Channel()
    channel.close()
    case, _, ok = gomax.select(gomax.Channel(), channel)
    return "ok" if ok else "closed" if case == 1 else "another case"


@scenario
def select_canceled():
    token, channel = gomax.Token(), gomax.Channel()

    def cancels():
        until_waiting(channel)
        token.cancel()

    gomax.go(cancels)
    with token.use():
        gomax.select(channel, gomax.Channel())


@scenario
def select_even():
    ready = [gomax.Channel(2000), gomax.Channel(2000)]
    cases = [gomax.Channel() for _ in range(8)]
    cases[2:2] = ready  # beside each other: what is first of the two must not be chosen for those before it
    for channel in ready:
        for _ in range(2000):
            channel.send(None)
    first = sum(gomax.select(*cases).case == 2 for _ in range(2000))
    return "even" if 800 <= first <= 1200 else f"{first} to {2000 - first}"


# ---- locks and counts ----


@scenario
def lock_canceled():
    token, mutex = gomax.Token(), gomax.Mutex()
    token.cancel()
    with token.use():
        with mutex:
            pass
    with mutex:
        pass


@scenario
def lock_body_fails():
    mutex = gomax.Mutex()

    def fails():
        with mutex:
            fail(1)

    return f"{outcome(fails)}, {outcome(mutex.acquire, timeout=0)}"


@scenario
def unlock_free():
    gomax.Mutex().release()


@scenario
def unlock_foreign():
    mutex = gomax.Mutex()
    mutex.acquire()
    gomax.go(mutex.release).join()


@scenario
def waitgroup_below_zero():
    gomax.WaitGroup().done()


@scenario
def semaphore_canceled():
    token, semaphore = gomax.Token(), gomax.Semaphore(0)
    g = token.go(semaphore.acquire)
    while not semaphore.waiters:
        time.sleep(0.0005)
    token.cancel()
    g.join()


# ---- cancellation, world, once ----


@scenario
def shield():
    token, channel = gomax.Token(), gomax.Channel()
    token.cancel()
    with token.use():
        with gomax.shield():
            inside = outcome(channel.recv, timeout=SHORT)
        return f"{inside}, {outcome(channel.recv)}"


@scenario
def world_body_fails():
    def fails():
        with gomax.stopped_world():
            fail(1)

    return f"{outcome(fails)}, {outcome(gomax.go(lambda: None).join)}"


@scenario
def hook_fails():
    token, reported = gomax.Token(), gomax.Channel(1)
    threading.excepthook = lambda args: reported.send(args.exc_type)
    with token.on_cancel(fail, 1):
        token.cancel()
        return "ok" if reported.recv() is Failed else "reported as another error"


@scenario
def once_fails():
    once = gomax.Once()
    return f"{outcome(once.do, fail, 1)}, {outcome(once.do, fail, 2)}"


def main():
    if len(sys.argv) == 1:
        print("\n".join(SCENARIOS))
    else:
        print(outcome(SCENARIOS[sys.argv[1]]))


main()
