## Timeouts, timers, and calls after a time.
{.used.}
import std/unittest
import gomax

proc fails() = raise newException(IOError, "of a timer")

suite "time":
  test "timeouts as durations":
    proc main() =
      let ch = newChan[int](1)
      expect TimeoutError: discard ch.recv(initDuration(milliseconds = 1))
      expect TimeoutError: discard ch.recv(initDuration(milliseconds = -1))
      expect TimeoutError: discard ch.recv(-5.sec)
      sleep initDuration(microseconds = 1)
      ch.send 1
      check ch.recv(initDuration(weeks = 1_000_000)) == 1 # above what an int64 has of nanoseconds
      expect TimeoutError:
        withScope(initDuration(milliseconds = 1)): sleep 1.sec
    runMain main()

  test "time":
    proc main() =
      let before = now()
      sleep 2.ms
      check now() - before >= 2.ms
      let t = newTimer(1.ms)
      check t.ch.recv() >= before + 3.ms
      check not t.stop()
      let ticker = newTicker(1.ms)
      for _ in 0 ..< 3: discard ticker.ch.recv()
      check ticker.stop()
      let (never, late) = (afterChan(forever), afterChan(1.ms))
      select:
        never.recv: check false
        late.recv as time: check time.get > before
      var time: int64
      check not late.tryRecv(time)
    runMain main()

  test "after a time":
    proc main() =
      let ch = newChan[string](3)
      proc tell(ch: Chan[string], text: string) = ch.send text
      after(1.ms, tell(ch, "call"))
      check ch.recv() == "call"
      let text = "block"
      var late = after(0, ch, text):
        ch.send text
      check ch.recv() == "block"
      check not late.stop()
      var never = after(3600.sec, ch):
        ch.send "never"
      check never.stop() and not never.stop()
      for i in 0 ..< 300: # all at the same moment
        var atOnce = after(int64(i mod 3).us, ch):
          if ch.len > 5: yieldNow()
        if i mod 2 == 0: atOnce.stop()
      stderr.writeLine "(an unhandled exception follows)"
      after(0, fails())
      while numG() > 1: yieldNow()
      check ch.len == 0
    runMain main()
