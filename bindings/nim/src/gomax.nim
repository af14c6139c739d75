## Goroutines for Nim, on libgomax. docs/nim.md is the introduction.
##
## A goroutine is to Nim what a thread is: it has its own thread variables (`{.threadvar.}`), its own current exception,
## and what it shares with others is moved, sent through channels, or guarded. A call that waits may return on another
## thread of the system, which concerns only what C keeps per thread: `errno`, so ask `osLastError` at once.
import gomax/[required, errors, handover, tasks, chans, selects, sync, tokens, scopes, world]
from gomax/abi import GInfo, MemStats, SchedStats
from std/options import Option, isSome, isNone, get, some, none

export errors, tasks, chans, selects, sync, tokens, scopes, world
export handover.Isolated, handover.isolate, handover.unsafeIsolate, handover.extract, handover.isolated, handover.holdsRefs
export GInfo, MemStats, SchedStats
export Option, isSome, isNone, get, some, none
