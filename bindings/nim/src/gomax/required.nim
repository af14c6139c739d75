## What Nim must be compiled with. A goroutine moves from thread to thread, so nothing that Nim keeps per thread may
## stay behind: with these options it is all in the block of thread variables, which `gvars` makes one for each
## goroutine.
##
## Without `--tlsEmulation:on` every proc takes the addresses of thread variables once, at its beginning: after a wait
## an exception is then noted where another thread looks, or seen where none was raised.

{.used.}

when not compileOption("threads"):
  {.error: "gomax: compile with --threads:on".}
when not (defined(gcOrc) or defined(gcArc) or defined(gcAtomicArc)):
  {.error: "gomax: compile with --mm:orc (or arc, atomicArc): the others scan the stack of the thread".}
when not compileOption("tlsEmulation"):
  {.error: "gomax: compile with --tlsEmulation:on: otherwise exceptions get lost when a goroutine moves to another thread".}
when not defined(useMalloc):
  {.error: "gomax: compile with -d:useMalloc: Nim's own allocator has a heap for each thread".}
when not compileOption("exceptions", "goto"):
  {.error: "gomax: compile with --exceptions:goto, the default of orc and arc: the others keep a handler per thread".}
when defined(cpp):
  {.error: "gomax: compile with `nim c`".}
when not defined(linux):
  {.error: "gomax: libgomax needs Linux".}
