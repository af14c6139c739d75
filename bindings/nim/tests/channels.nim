## Channels and select.
{.used.}
import std/[strutils, unittest]
import gomax
import counted

type Message = object
  id: int
  text: string
  more: seq[int]

proc produce(ch: Chan[Message], n: int) =
  for i in 0 ..< n: ch.send Message(id: i, text: "hello " & $i, more: @[i, i + 1])
  ch.close()

suite "channels":
  test "values are moved through":
    proc main() =
      for room in [0, 1, 16]:
        let ch = newChan[Message](room)
        check ch.cap == room
        go produce(ch, 100)
        var i = 0
        for m in ch:
          check m.id == i and m.text == "hello " & $i and m.more == @[i, i + 1]
          inc i
        check i == 100
        check ch.isClosed
        expect ClosedError: discard ch.recv()
        expect ClosedError: ch.send Message()
        check ch.next().isNone
    runMain main()

  test "try, timeouts, what is left in one":
    proc main() =
      let ch = newChan[string](2)
      var s: string
      check not ch.tryRecv(s)
      check ch.trySend("a")
      ch.send "b"
      check not ch.trySend("c")
      expect TimeoutError: ch.send("c", 1.ms)
      check ch.len == 2
      check ch.waiters == (0, 0)
      check ch.tryRecv(s) and s == "a"
      check ch.recv(1.sec) == "b"
      expect TimeoutError: discard ch.recv(1.ms)
      ch.send repeat("left", 100) # freed with the channel
    runMain main()

  test "without a bound":
    proc main() =
      let ch = newChan[string](unbounded)
      check ch.cap == unbounded
      for i in 0 ..< 1000: ch.send $i
      check ch.len == 1000
      for i in 0 ..< 900: check ch.recv() == $i # the others are freed with the channel
    runMain main()

  test "the side that receives ends first":
    proc main() =
      var alive = 0
      let ch = newChan[Counted](3)
      for _ in 0 ..< 3: ch.send newCounted(addr alive)
      check alive == 3
      ch.closeDrop()
      check alive == 0 and ch.len == 0 and ch.isClosed
      expect ClosedError: discard ch.recv()
      let texts = newChan[string](2)
      texts.send repeat("left", 100)
      texts.close()
      texts.closeDrop()
      expect ClosedError: discard texts.recv()
    runMain main()

  test "how many wait":
    proc main() =
      let ch = newChan[int]()
      proc sends(ch: Chan[int]) = ch.send 1
      check not ch.isClosed
      go sends(ch)
      while ch.waiters != (1, 0): yieldNow()
      check ch.recv() == 1
      check ch.waiters == (0, 0)
    runMain main()

  test "a ref goes from G to G":
    type Node = ref object
      next: Node
      n: int
    proc main() =
      let ch = newChan[Node]()
      proc make(ch: Chan[Node]) =
        for i in 0 ..< 200:
          var list: Node
          for n in 0 .. i: list = Node(next: move list, n: n)
          ch.send unsafeIsolate(move list)
        ch.close()
      go make(ch)
      var sum = 0
      for list in ch:
        var at = list
        while at != nil:
          sum += 1
          at = at.next
      check sum == 200 * 201 div 2
    runMain main()

  test "select":
    proc main() =
      let a = newChan[int](1)
      let b = newChan[string](1)
      var got = ""
      select:
        a.recv as x: got = "a"
        otherwise: got = "none"
      check got == "none"
      select:
        a.recv: got = "a"
        timeout(1.ms): got = "late"
      check got == "late"
      b.send "text"
      select:
        a.recv as x: got = $x.get
        b.recv as x: got = x.get
      check got == "text"
      select:
        a.send(5): got = "sent"
        b.recv as x: got = x.get
      check got == "sent"
      check a.recv() == 5
      a.close()
      select:
        a.recv as x: check x.isNone
      expect ClosedError:
        select:
          a.send(1): discard

      let left = newChan[Message]()
      let right = newChan[Message]()
      go produce(left, 200)
      go produce(right, 300)
      var (lefts, rights) = (0, 0)
      while lefts < 200 or rights < 300:
        select:
          left.recv as m:
            if m.isSome: inc lefts
          right.recv as m:
            if m.isSome: inc rights
      check (lefts, rights) == (200, 300)
    runMain main()
