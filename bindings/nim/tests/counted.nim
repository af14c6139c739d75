## A value that counts: what makes one adds 1, and its end, wherever that is, takes 1 away.

type Counted* = object
  alive*: ptr int

proc `=destroy`*(c: var Counted) =
  if c.alive != nil: discard atomicDec(c.alive[])
  c.alive = nil
proc `=copy`*(a: var Counted, b: Counted) {.error.}

proc newCounted*(alive: ptr int): Counted =
  discard atomicInc(alive[])
  Counted(alive: alive)
