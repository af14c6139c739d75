## Child processes and signals: `import gomax/[net, processes]`.
from std/posix import nil
import required, abi, errors, gvars, chans, net

{.emit: """/*INCLUDESECTION*/
#include <gomax.h>
""".}
{.emit: """
void gomax_nim_release(void *p) { (void)(gmx_process_release)(*(gmx_process *)p); } // on a goroutine of its own
""".}
proc releaseLater(p: pointer) {.importc: "gomax_nim_release", cdecl, gcsafe, raises: [].}

type
  StdioKind* = enum
    inherit ## that of this process
    null    ## /dev/null
    descriptor ## `fd`, which stays the caller's
    piped   ## a pipe, whose other end the `Process` has
    output  ## of the errors: where the output goes
  Stdio* = object
    kind*: StdioKind
    fd*: cint
  ProcessOptions* = object
    input*, output*, errors*: Stdio
    path*: string      ## the file of the program; "": the first argument, looked for in the directories of PATH
    env*: seq[string]  ## `NAME=value`; empty: that of this process
    cwd*: string
    group*: bool       ## a process group of its own
    session*: bool     ## a session of its own
  Process* = object ## A child. One that goes away lets the child run on, which leaves no zombie.
    raw: Handle
    input*, output*, errors*: Conn ## The ends of its pipes: what is written to `input` it reads.
  ExitStatus* = distinct cint ## As waitpid says it.

proc `=copy`*(a: var Process, b: Process) {.error.}
proc `=destroy`*(p: var Process) =
  if p.raw != 0:
    let status = waits gmx_process_release(p.raw)
    if status == ENOTG or status == EINSYSCALL: discard gmx_spawn_copy(releaseLater, addr p.raw, csize_t(sizeof(p.raw)))
    p.raw = 0
  `=destroy`(p.input)
  `=destroy`(p.output)
  `=destroy`(p.errors)

proc pipe*(): Stdio = Stdio(kind: piped)

proc pointers(strings: openArray[string]): seq[cstring] =
  for s in strings: result.add cstring(s)
  result.add nil

proc startProcess*(args: openArray[string], options = ProcessOptions()): Process =
  ## Starts a program: `startProcess(["sort", "-n"])`. It raises if the program cannot be executed.
  if args.len == 0: misuse("a process has at least a name")
  var argv = pointers(args)
  var env = pointers(options.env)
  var raw = ProcessOpts(struct_size: csize_t(sizeof(ProcessOpts)), path: argv[0], argv: addr argv[0])
  if options.path != "": raw.path = cstring(options.path)
  else: raw.flags = PROCESS_SEARCH
  if options.env.len > 0: raw.envp = addr env[0]
  if options.cwd != "": raw.cwd = cstring(options.cwd)
  if options.group: raw.flags = raw.flags or PROCESS_GROUP
  if options.session: raw.flags = raw.flags or PROCESS_SESSION
  var pipes: array[3, Handle]
  for i, stdio in [options.input, options.output, options.errors]:
    raw.stdio[i].kind = [STDIO_INHERIT, STDIO_NULL, STDIO_FD, STDIO_PIPE, STDIO_OUTPUT][ord(stdio.kind)]
    raw.stdio[i].fd = stdio.fd
    raw.stdio[i].pipe = addr pipes[i]
  var child: Handle
  check waits(gmx_spawn_process(addr raw, addr child))
  result.raw = child
  result.input = adoptConn(pipes[0])
  result.output = adoptConn(pipes[1])
  result.errors = adoptConn(pipes[2])

proc handle(p: Process): Handle =
  if p.raw == 0: misuse("the process was never started: startProcess")
  p.raw

proc wait*(p: Process, timeout: Timeout = forever): ExitStatus =
  ## Waits for its end, which can be asked for again.
  var status: int32
  check waits(gmx_process_wait(p.handle, addr status, int64(timeout)))
  ExitStatus(status)
proc kill*(p: Process, signal: cint) = check gmx_process_kill(p.handle, signal)
  ## Sends a signal; `ESRCH` if a wait has told its end.
proc pid*(p: Process): int = counted gmx_process_pid(p.handle)
proc pidfd*(p: Process): cint = cint(counted gmx_process_pidfd(p.handle))
  ## Readable when it has ended, for another loop; the library's.

proc ok*(s: ExitStatus): bool = cint(s) == 0 ## It ended by itself, with 0.
proc code*(s: ExitStatus): int =
  ## What it returned; as in a shell 128 and the signal if one ended it.
  if posix.WIFSIGNALED(cint(s)): 128 + int(posix.WTERMSIG(cint(s))) else: int(posix.WEXITSTATUS(cint(s)))
proc signal*(s: ExitStatus): cint =
  ## The signal that ended it; 0 if none did.
  if posix.WIFSIGNALED(cint(s)): posix.WTERMSIG(cint(s)) else: 0

# ---- signals

type Signals* = object
  ## While it lives `ch` gets a `Siginfo` of `gomax/abi` for each signal, which does not end the process then. A handler
  ## that the host had is called as before.
  ch*: Chan[Siginfo]
  raw: RawChan ## of which the library has a reference; the compiler may move `ch` out where it is used last

proc `=copy`*(a: var Signals, b: Signals) {.error.}
proc `=destroy`*(s: var Signals) =
  if s.raw != nil: discard gmx_signal_stop(s.raw)
  s.raw = nil
  `=destroy`(s.ch)

proc newSignals*(signals: openArray[cint]): Signals =
  ## `newSignals([SIGINT, SIGTERM])`
  result.ch = newChan[Siginfo](unbounded) # so that none is missed
  let first = if signals.len == 0: nil else: cast[ptr int32](unsafeAddr signals[0])
  let raw = result.ch.rawChan
  check gmx_signal_notify(raw, first, csize_t(signals.len))
  result.raw = raw
