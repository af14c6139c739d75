## Files, child processes, signals.
{.used.}
import std/[unittest, os]
from std/posix import O_RDWR, O_CREAT, SIGTERM, SIGKILL, SIGUSR1, ENOENT, ESRCH, getpid
import gomax, gomax/[abi, net, files, processes]

proc openFds(): int =
  for _ in walkDir("/proc/self/fd"): inc result

template raisesStatus(want: Status, body: untyped) =
  try:
    body
    check false
  except GomaxError as e: check e.status == want

proc all(c: Conn): string =
  while true:
    let some = c.read(16)
    if some == "": break
    result.add some

suite "files and processes":
  test "files":
    proc main() =
      let dir = getTempDir() / "gomax-nim-" & $getpid()
      makeDirectory dir
      let before = openFds()
      block:
        let a = openFile(dir / "a", O_RDWR or O_CREAT, 0o600)
        a.write "hello "
        a.write "world"
        a.pwrite "H", 0
        a.sync()
        a.dataSync()
        check a.pread(64, 0) == "Hello world" and a.pread(8, 100) == "" and a.fileSize == 11
        a.truncate 5
        let b = openFile(dir / "b", O_RDWR or O_CREAT)
        var done: int64
        copyBytes(openFile(dir / "a"), b, done)
        check done == 5 and b.pread(9, 0) == "Hello"
        check copyBytes(openFile(dir / "a"), b, 2) == 2 and b.fileSize == 7
        try: b.allocate 0, 100
        except GomaxError as e: check e.status == ENOTSUP
        raisesStatus(-int32(ENOENT)): discard openFile(dir / "c")
        raisesStatus(abi.EBADF): openFile(dir / "a").write "read only"
        renamePath dir / "b", dir / "c"
        unlinkPath dir / "c"
        unlinkPath dir / "a"
      check openFds() == before
      removeDir dir
    runMain main()

  test "many files at a time":
    proc writesOne(dir: string, i: int) =
      let f = openFile(dir / $i, O_RDWR or O_CREAT)
      f.pwrite $i, 0
      check f.pread(9, 0) == $i
    proc main() =
      let dir = getTempDir() / "gomax-nim-many-" & $getpid()
      makeDirectory dir
      withScope:
        for i in 0 ..< 64: scope.spawn writesOne(dir, i)
      removeDir dir
    runMain main()

  test "processes":
    proc main() =
      var sort = startProcess(["sort", "-n"], ProcessOptions(input: pipe(), output: pipe()))
      sort.input.write "20\n3\n100\n"
      sort.input.close()
      check sort.output.all == "3\n20\n100\n"
      check sort.wait().ok and sort.wait(0).code == 0
      raisesStatus(-int32(ESRCH)): sort.kill SIGTERM
      let says = startProcess(["any", "-c", "pwd; echo $WORD >&2; cat; exit 3"], ProcessOptions(path: "/bin/sh",
        input: Stdio(kind: null), output: pipe(), errors: Stdio(kind: output), cwd: "/", env: @["WORD=said", "PATH=/bin:/usr/bin"]))
      check says.output.all == "/\nsaid\n"
      check says.wait().code == 3 and says.wait().signal == 0
      let sleeps = startProcess(["sleep", "1000"], ProcessOptions(group: true))
      check sleeps.pid > 1 and sleeps.pidfd > 2
      expect TimeoutError: discard sleeps.wait(1.ms)
      withToken newToken(1.ms):
        expect CanceledError: discard sleeps.wait()
      sleeps.kill SIGKILL
      check sleeps.wait().signal == SIGKILL and sleeps.wait().code == 128 + SIGKILL
      raisesStatus(-int32(ENOENT)): discard startProcess(["no such program"])
      var never: Process
      expect MisuseDefect: discard never.wait()
      expect MisuseDefect: discard startProcess([])
      var gone = Process()
      withPin p: sort = move gone # released where nothing can wait
    runMain main()

  test "signals":
    proc main() =
      let signals = newSignals([SIGUSR1])
      check posix.kill(getpid(), SIGUSR1) == 0
      check signals.ch.recv().signo == SIGUSR1
      check posix.kill(getpid(), SIGUSR1) == 0
      select:
        signals.ch.recv as info: check info.get.pid == getpid()
        timeout(60.sec): check false
      raisesStatus(EINVAL): discard newSignals([SIGKILL])
    runMain main()
