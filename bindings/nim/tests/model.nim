## Channels and select beside a model, with programs drawn at random, and between goroutines with values that are
## counted: each is received once or destroyed, and none is left. GMX_SEED repeats a run; GMX_SECONDS says for how long
## (1).
{.used.}
import std/[deques, os, random, strutils, times, unittest]
import gomax
import counted

type
  Value = object # destroyed once, wherever it ends
    id: int
    text: string # for the sanitizer: memory of its own
    counted: Counted
  Model = object
    values: Deque[int]
    room: int
    closed: bool
  Outcome = enum
    done, notNow, closedNow

proc newValue(id: int, alive: ptr int): Value =
  Value(id: id, text: "value " & $id & repeat('.', id mod 50), counted: newCounted(alive))
proc intact(v: Value): bool = v.text.startsWith("value " & $v.id)

template outcome(body: untyped): Outcome =
  block:
    var came = done
    try:
      if not (body): came = notNow
    except TimeoutError: came = notNow
    except ClosedError: came = closedNow
    came

proc send(m: var Model, id: int): Outcome =
  if m.closed: return closedNow
  if m.values.len >= m.room: return notNow
  m.values.addLast id

proc recv(m: var Model, id: var int): Outcome =
  if m.values.len > 0: id = m.values.popFirst()
  elif m.closed: return closedNow
  else: return notNow

proc program(seed: int64, steps: int, alive: ptr int) =
  ## One goroutine, so nothing waits: what each call does is known.
  var rand = initRand(seed)
  var chans: array[2, Chan[Value]]
  var models: array[2, Model]
  for i in 0 .. 1:
    models[i].room = rand.rand(0 .. 3)
    chans[i] = newChan[Value](models[i].room)
  var inHand = 0 # of the variables below
  for step in 0 ..< steps:
    let which = rand.rand(1)
    let id = step
    var got = -1
    var (came, expected) = (done, done)
    template ch: Chan[Value] = chans[which]
    template m: Model = models[which]
    template keeps(value: Value) = # a value that was not given is where it was
      doAssert (value.counted.alive == nil) == (came == done), $seed
      if came != done: doAssert value.intact and value.id == id
    case rand.rand(13)
    of 0: (came, expected) = (outcome(ch.trySend newValue(id, alive)), m.send(id))
    of 1: (came, expected) = (outcome((ch.send(newValue(id, alive), 0); true)), m.send(id))
    of 2:
      var value = newValue(id, alive)
      (came, expected) = (outcome(ch.tryGive value), m.send(id))
      keeps value
    of 3:
      var value = newValue(id, alive)
      (came, expected) = (outcome((ch.give(value, 0); true)), m.send(id))
      keeps value
    of 4, 5:
      var value: Value
      came = outcome(ch.tryRecv value)
      if came == done: (got = value.id; doAssert value.intact)
    of 6, 7:
      came = outcome((let value = ch.recv(0); got = value.id; true))
    of 8:
      came = outcome((let (_, value) = recvAny([ch], 0); (if value.isSome: got = value.get.id); value.isSome))
      if came == notNow and ch.isClosed: came = closedNow
    of 9: # both ways at once: never both can
      var value = newValue(id, alive)
      var gotten: Option[Value]
      var cases = [sendCase(ch, addr value), recvCase(ch, addr gotten)]
      var chosen = -1
      let full = m.values.len == m.room
      let empty = m.values.len == 0
      came = outcome((chosen = selectFrom(cases, 0); true))
      if m.closed:
        doAssert came == closedNow or chosen == 1 and gotten.isSome == not empty
        if chosen == 1 and not empty: doAssert m.recv(got) == done and gotten.get.id == got
      elif full and empty: doAssert came == notNow
      else:
        doAssert came == done and (chosen == 0 and not full or chosen == 1 and not empty), $seed
        if chosen == 0: doAssert m.send(id) == done and value.counted.alive == nil
        else: doAssert m.recv(got) == done and gotten.get.id == got
      if chosen != 0: doAssert value.intact and value.id == id
      continue
    of 10: # the same by the macro, out of a loop
      let (full, empty, closed) = (m.values.len == m.room, m.values.len == 0, m.closed)
      var chosen = -1
      came = outcome:
        while true:
          select:
            ch.send(newValue(id, alive)):
              chosen = 0
              break
            ch.recv as value:
              chosen = 1
              if value.isSome: got = value.get.id
              break
            otherwise: break
          doAssert false
        true
      if closed: doAssert came == closedNow or chosen == 1 and (got == -1) == empty
      else: doAssert (chosen == -1) == (full and empty) and not (chosen == 0 and full) and not (chosen == 1 and empty), $seed
      var wanted = -1
      if chosen == 0: doAssert m.send(id) == done
      elif chosen == 1 and not empty: doAssert m.recv(wanted) == done and wanted == got
      continue
    of 11:
      if rand.rand(9) == 0:
        (came, expected) = (outcome((ch.close(); true)), (if m.closed: closedNow else: done))
        m.closed = true
    of 12:
      if rand.rand(9) == 0:
        ch.closeDrop()
        m.values.clear()
        m.closed = true
    else: # a new one; the values of the other go with it
      if rand.rand(9) == 0:
        m = Model(room: rand.rand(0 .. 3))
        ch = newChan[Value](m.room)
    if got >= 0 or came != done and expected == done:
      var wanted = -1
      expected = m.recv(wanted)
      doAssert wanted == got, $seed
    doAssert came == expected, "seed " & $seed & ", step " & $step & ": " & $came & " instead of " & $expected
    doAssert ch.len == m.values.len and ch.isClosed == m.closed and ch.cap == m.room
    doAssert alive[] == models[0].values.len + models[1].values.len + inHand, "seed " & $seed & ", step " & $step

type Shared = object
  alive, sent, received, sum: int

proc add(at: var int, n = 1) = discard atomicInc(at, n)

proc produces(ch, other: Chan[Value], seed: int64, n: int, shared: ptr Shared) =
  var rand = initRand(seed)
  for i in 0 ..< n:
    var value = newValue(i, addr shared.alive)
    var gone = true
    case rand.rand(4)
    of 0: gone = ch.tryGive(value)
    of 1:
      try: ch.give(value, 1.us)
      except TimeoutError: gone = false
    of 2:
      var cases = [sendCase(ch, addr value), sendCase(other, addr value)]
      selectFrom(cases)
    of 3:
      select:
        ch.send(move value): discard
        other.send(newValue(i, addr shared.alive)): discard
    else: ch.send move(value)
    if gone:
      shared.sent.add
      shared.sum.add i

proc consumes(ch, other: Chan[Value], seed: int64, shared: ptr Shared) =
  var rand = initRand(seed)
  template took(value: Value) =
    doAssert value.intact
    shared.received.add
    shared.sum.add -value.id
  var open = [ch, other]
  while true:
    if open[0].isClosed and open[1].isClosed and open[0].len == 0 and open[1].len == 0: break
    let which = rand.rand(1)
    case rand.rand(3)
    of 0:
      try: # a wait without an end for one of them could be for the wrong one
        let value = open[which].recv(10.us)
        took value
      except TimeoutError, ClosedError: discard
    of 1:
      var value: Value
      try:
        if open[which].tryRecv(value): took value
        else: yieldNow()
      except ClosedError: discard
    of 2:
      let (_, value) = recvAny(open)
      if value.isSome: took value.get
    else:
      select:
        ch.recv as value:
          if value.isSome: took value.get
        other.recv as value:
          if value.isSome: took value.get

proc many(seed: int64, n: int, shared: ptr Shared) =
  var rand = initRand(seed)
  let (ch, other) = (newChan[Value](rand.rand(3)), newChan[Value](rand.rand(3)))
  withScope:
    let consumers = rand.rand(1 .. 4)
    for i in 1 .. consumers: scope.spawn consumes(ch, other, seed + i, shared)
    withScope:
      for i in 1 .. 4: scope.spawn produces(ch, other, seed - i, n, shared)
    ch.close()
    other.close()

suite "beside a model":
  let seed = parseBiggestInt(getEnv("GMX_SEED", $(epochTime().int64 mod 1_000_000_007)))
  let seconds = parseFloat(getEnv("GMX_SECONDS", "1"))
  echo "seed ", seed

  test "programs of one goroutine":
    proc main(seed: int64, seconds: float, alive: ptr int) =
      let stop = epochTime() + seconds
      var i = 0
      while i < 20 or epochTime() < stop:
        program(seed + i, 200, alive)
        doAssert alive[] == 0, $(seed + i)
        inc i
    var alive = 0
    runMain main(seed, seconds, addr alive)

  test "values between goroutines":
    proc main(seed: int64, seconds: float, shared: ptr Shared) =
      let stop = epochTime() + seconds
      var i = 0
      while i < 3 or epochTime() < stop:
        many(seed + 100 * i, 100, shared)
        doAssert shared.alive == 0 and shared.sum == 0 and shared.sent == shared.received, $(seed + 100 * i)
        inc i
    var shared: Shared
    runMain main(seed, seconds, addr shared)
