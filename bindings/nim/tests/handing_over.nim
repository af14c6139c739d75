## What goes from one goroutine to another: isolated at compile time, destroyed once, and, with orc, in no list of
## suspects of the goroutine that it leaves. The refs here are in cycles, and were suspects before they go.
{.used.}
import std/unittest
import gomax
import counted

type
  Node = ref object
    next, prev: Node
    counted: Counted
  Ring = object # what a ring is, when a test sends it as a part of something
    first: Node
    name: string

proc newNode(alive: ptr int): Node = Node(counted: newCounted(alive))

proc ring(alive: ptr int, n: int): Node =
  ## n nodes in both directions. Variables that go away make them suspects.
  result = newNode(alive)
  var last = result
  for _ in 1 ..< n:
    let node = newNode(alive)
    last.next = node
    node.prev = last
    last = node
  last.next = result
  result.prev = last
  var at = result
  for _ in 0 ..< 3 * n: at = at.next

proc turns(ring: Node): int =
  ## How many nodes there are; more suspects.
  var at = ring.next
  result = 1
  while at != ring:
    at = at.next
    inc result

proc unring(ring: Node) =
  ## With arc cycles are broken by hand.
  when not defined(gcOrc):
    var at = ring
    while at != nil:
      let next = at.next
      at.next = nil
      at.prev = nil
      at = next

proc use(ring: Node, n: int) =
  doAssert ring.turns == n
  unring ring

const
  size = 5
  rounds = 200

proc takes(ring: Node) = use(ring, size)
proc takesAndTells(ring: Node, done: Chan[bool]) =
  use(ring, size)
  done.send true
proc gives(alive: ptr int): Node = ring(alive, size)
type RingError = object of CatchableError
  ring: Node
proc raises(alive: ptr int) = raise (ref RingError)(msg: "a ring", ring: ring(alive, size))

template nothingLeft(alive: int) =
  when defined(gcOrc): GC_runOrc()
  check alive == 0

suite "handing over":
  test "by a channel":
    proc sends(ch: Chan[Node], alive: ptr int) =
      for _ in 0 ..< rounds:
        var mine = ring(alive, size)
        discard mine.turns
        ch.send unsafeIsolate(move mine)
      ch.close()
    proc main(alive: ptr int) =
      for room in [0, 1, 8]:
        let ch = newChan[Node](room)
        go sends(ch, alive)
        for mine in ch:
          use(mine, size)
      while numG() > 1: yieldNow()
    var alive = 0
    runMain main(addr alive)
    nothingLeft alive

  test "there and back":
    proc echoes(there, back: Chan[Node]) =
      for mine in there:
        discard mine.turns
        back.send unsafeIsolate(mine)
      back.close()
    proc main(alive: ptr int) =
      let (there, back) = (newChan[Node](), newChan[Node](1))
      go echoes(there, back)
      var mine = ring(alive, size)
      for _ in 0 ..< rounds:
        discard mine.turns
        there.send unsafeIsolate(move mine)
        mine = back.recv()
      there.close()
      use(mine, size)
      while numG() > 1: yieldNow()
    var alive = 0
    runMain main(addr alive)
    nothingLeft alive

  test "by select, selectFrom, give and tryGive":
    proc collects(ch: Chan[Node]) =
      for mine in ch: use(mine, size)
    proc main(alive: ptr int) =
      let ch = newChan[Node](1)
      var collector = go collects(ch)
      for i in 0 ..< rounds:
        var mine = ring(alive, size)
        discard mine.turns
        case i mod 4
        of 0:
          select:
            ch.send(unsafeIsolate(move mine)): discard
        of 1:
          var given = unsafeIsolate(move mine)
          var cases = [sendCase(ch, addr given)]
          selectFrom(cases)
        of 2:
          var given = unsafeIsolate(move mine)
          ch.give given
        else:
          var given = unsafeIsolate(move mine)
          while not ch.tryGive(given): yieldNow()
      ch.close()
      collector.join()
    var alive = 0
    runMain main(addr alive)
    nothingLeft alive

  test "as an argument, a result, an exception":
    proc main(alive: ptr int) =
      for _ in 0 ..< rounds:
        var mine = ring(alive, size)
        discard mine.turns
        var task = go takes(unsafeIsolate(move mine))
        var other = go gives(alive)
        task.join()
        use(other.join(), size)
        try:
          join(go raises(alive))
        except RingError as e:
          use(e.ring, size)
        try:
          withScope:
            var child = scope.spawn gives(alive)
            use(child.join(), size)
            mine = ring(alive, size)
            scope.spawn takes(unsafeIsolate(move mine))
            scope.spawn raises(alive)
        except RingError as e:
          use(e.ring, size)
        let done = newChan[bool](2)
        mine = ring(alive, size)
        after(0, takesAndTells(unsafeIsolate(move mine), done))
        mine = ring(alive, size)
        let token = newToken()
        var hook {.used.} = onCancel(token, takesAndTells(unsafeIsolate(move mine), done))
        token.cancel()
        for _ in 0 ..< 2: discard done.recv()
      while numG() > 1: yieldNow()
    var alive = 0
    runMain main(addr alive)
    nothingLeft alive

  when defined(gcOrc):
    test "cycles are collected at the end of a goroutine":
      proc leaves(alive: ptr int) =
        let mine {.used.} = ring(alive, size)
      proc main(alive: ptr int) =
        for _ in 0 ..< rounds: join(go leaves(alive))
        withScope:
          for _ in 0 ..< rounds: scope.spawn leaves(alive)
        parallelFor(rounds, (proc (first, last: int64, alive: ptr int) {.nimcall, gcsafe.} = leaves(alive)), alive)
        check alive[] == 0
      var alive = 0
      runMain main(addr alive)
      check alive == 0

    test "a goroutine that waits keeps its suspects":
      proc works(alive: ptr int, n: int) =
        for i in 0 ..< n:
          let mine = ring(alive, size)
          discard mine.turns
          if i mod 3 == 0: yieldNow() elif i mod 3 == 1: sleep 1.us
          doAssert mine.turns == size
      proc main(alive: ptr int) =
        withScope:
          for n in 1 .. 40: scope.spawn works(alive, n)
        check alive[] == 0
      var alive = 0
      runMain main(addr alive)

  test "what is refused at compile time":
    proc reads(node: Node) {.used, gcsafe.} = discard
    proc main() =
      let ch {.used.} = newChan[Node](1)
      let rings {.used.} = newChan[Ring](1)
      let seqs {.used.} = newChan[seq[Node]](1)
      let closures {.used.} = newChan[proc ()](1)
      let texts {.used.} = newChan[string](4)
      var alive {.used.} = 0
      var node {.used.} = newNode(addr alive)
      var ring {.used.} = Ring(first: node)
      var nodes {.used.} = @[node]
      var text {.used.} = "text"
      template refuses(code: untyped) = check not compiles(code)
      template accepts(code: untyped) = check compiles(code)
      refuses: ch.send node
      refuses: ch.send(move node)
      refuses: discard ch.trySend(node)
      refuses: ch.give node
      refuses: discard ch.tryGive(node)
      refuses: rings.send ring
      refuses: seqs.send nodes
      refuses: closures.send(proc () = echo text)
      refuses: go reads(node)
      refuses: go reads(move node)
      refuses:
        go(node): reads node
      refuses:
        withScope: scope.spawn reads(node)
      refuses: after(0, reads(node))
      refuses:
        select:
          ch.send(node): discard
      refuses: discard sendCase(ch, addr node)
      accepts: ch.send Node()
      accepts: ch.send nil
      accepts: ch.send isolate(Node())
      accepts: ch.send unsafeIsolate(node)
      accepts: ch.send unsafeIsolate(move node)
      accepts: seqs.send unsafeIsolate(nodes)
      accepts: rings.send Ring(name: text)
      accepts: texts.send text
      accepts: texts.send text & "."
      accepts: texts.send move(text)
      accepts: texts.give text
      accepts: go reads(Node())
      accepts: go reads(unsafeIsolate(node))
      accepts:
        select:
          ch.send(unsafeIsolate(node)): discard
      check alive == 1
      node = nil
      ring = Ring()
      nodes = @[]
      check alive == 0
    main()
