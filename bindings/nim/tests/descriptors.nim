## Connections, listeners, datagrams: what they do, and how what waits there ends.
{.used.}
import std/[unittest, os]
from std/posix import socketpair, socket, pipe, dup, getpid, TPollfd, AF_UNIX, SOCK_STREAM, SOCK_CLOEXEC, MSG_PEEK,
  SHUT_WR, ECONNREFUSED, ENOENT
import gomax, gomax/[abi, net]

proc openFds(): int =
  for _ in walkDir("/proc/self/fd"): inc result

proc pair(): tuple[a, b: Conn] =
  var fds: array[2, cint]
  check socketpair(AF_UNIX, SOCK_STREAM or SOCK_CLOEXEC, 0, fds) == 0
  (newConn(fds[0]), newConn(fds[1]))

proc untilIoWaits(n: int) =
  while schedStats().io_waiting != n: yieldNow()

template raisesStatus(want: Status, body: untyped) =
  try:
    body
    check false
  except GomaxError as e: check e.status == want

proc fill(c: Conn) =
  try:
    while true: c.write newString(65536), 0
  except TimeoutError: discard

# What a goroutine does with the test's connections: they outlive it.
proc readsUntilClosed(c: ptr Conn) = raisesStatus(EBADF): discard c[].read(8)
proc writesUntilClosed(c: ptr Conn) = raisesStatus(EBADF): c[].write "x"
proc acceptsUntilClosed(l: ptr Listener) =
  var c: Conn
  check not l[].accept(c)

proc echo(c: sink Conn) =
  while true:
    let some = c.read(64)
    if some == "": break
    c.write some
proc takesOne(c: sink Conn) = check c.read(1) == "x"
proc serve(l: ptr Listener) =
  withScope:
    var c: Conn
    while l[].accept(c): scope.spawn echo(move c)

proc asks(port: Port, n: int, there: ptr WaitGroup, right: ptr int) =
  let c = dial("127.0.0.1", port)
  there[].done()
  there[].wait() # until all are connected
  c.write $n & "\n"
  if c.readFull(len($n) + 1) == $n & "\n": discard atomicInc(right[])

suite "descriptors":
  test "echo of many connections":
    proc main() =
      let first = pair()
      expect TimeoutError: discard first.a.read(1, 1.ms) # the library's own descriptors are there from here on
      let before = openFds()
      block:
        let listener = listenTcp("127.0.0.1")
        var there: WaitGroup
        var right = 0
        const n = 200
        there.add n
        withScope:
          scope.spawn serve(unsafeAddr listener)
          withScope:
            for i in 0 ..< n: scope.spawn asks(listener.localAddress.port, i, addr there, addr right)
          listener.close()
        check right == n
      check openFds() == before
    runMain main()

  test "close ends what waits":
    proc main() =
      let (a, b) = pair()
      let (full, other) = pair()
      fill full
      let listener = listenUnix("@gomax-nim-" & $getpid())
      withScope:
        scope.spawn readsUntilClosed(unsafeAddr a)
        scope.spawn writesUntilClosed(unsafeAddr full)
        scope.spawn acceptsUntilClosed(unsafeAddr listener)
        untilIoWaits 3
        a.close()
        full.close()
        listener.close()
      raisesStatus(EBADF): a.close()
      raisesStatus(EBADF): discard a.fd
      check b.read(8) == ""
      discard other.fd
    runMain main()

  test "times":
    proc main() =
      let (a, b) = pair()
      var buf: array[4, byte]
      var done = 9
      expect TimeoutError: discard a.read(buf, 0)
      expect TimeoutError: discard a.read(4, 1.ms)
      b.write "ab"
      expect TimeoutError: a.readFull(buf, done, 1.ms)
      check done == 2 and buf[1] == byte('b')
      b.write "c"
      a.setDeadline(now() - 1, Direction.read)
      expect TimeoutError: discard a.read(buf)
      a.write "d"
      a.setDeadline forever
      check a.read(buf) == 1
      fill a
      expect TimeoutError: a.write(buf, done, 1.ms)
      check done == 0
      expect TimeoutError: discard a.wait(Readable, 1.ms)
      check b.wait(Readable or Writable, 0) == (Readable or Writable)
    runMain main()

  test "tokens and scopes":
    proc main() =
      let (a, b) = pair()
      let token = newToken(1.ms)
      withToken token:
        expect CanceledError: discard a.read(1)
        shielded: a.write "x"
      check b.read(8) == "x"
      proc fails() =
        untilIoWaits 1
        raise newException(IOError, "enough")
      expect IOError:
        withScope:
          scope.spawn fails()
          discard a.read(1)
      b.write "kept"
      check a.read(8) == "kept"
    runMain main()

  test "moves":
    proc main() =
      let before = openFds()
      block:
        var (a, b) = pair()
        var c = move a
        expect MisuseDefect: discard a.read(1)
        b.write "x"
        check c.read(1) == "x"
        c = move b # what it had is closed
        check c.read(1) == ""
        let ch = newChan[Conn](2)
        ch.send move c
        var more = pair()
        ch.send move more.a # never received
        check ch.recv().fd >= 0
        let fd = newListener(socket(AF_UNIX, SOCK_STREAM, 0).cint).release()
        check posix.close(fd) == 0
        withPin p: discard pair() # where nothing can wait
      while openFds() != before: yieldNow()
      raisesStatus(EBADF): discard newConn(-1)
      var never: Conn
      expect MisuseDefect: never.close()
    runMain main()

  test "exceptions":
    proc main() =
      let before = openFds()
      for i in 0 ..< 50:
        try:
          withScope:
            let (a, b) = pair()
            scope.spawn takesOne(newConn(dup(b.fd)))
            a.write "x"
            if i mod 2 == 0: raise newException(ValueError, $i)
            discard dial("no such network", "here")
        except ValueError as e: check e.msg == $i
        except GomaxError as e: check e.status == EINVAL
      check openFds() == before
    runMain main()

  test "streams":
    proc main() =
      let listener = listenTcp("127.0.0.1", options = ListenOptions(patient: true, backlog: 4))
      let c = dial("tcp", "127.0.0.1", $int(listener.localAddress.port), 10.sec)
      let s = listener.accept(10.sec)
      check c.peerAddress == listener.localAddress and s.peerAddress == c.localAddress
      check $c.peerAddress == "127.0.0.1:" & $int(c.peerAddress.port)
      c.write ["ab", "", "cdef"]
      check s.readFull(6) == "abcdef"
      c.write newSeq[string](0)
      var big = newString(3_000_000)
      withScope:
        proc takes(s: ptr Conn) = check s[].readFull(3_000_000).len == 3_000_000
        scope.spawn takes(unsafeAddr s)
        c.write big
      check s.send([byte 1, 2]) == 2
      var buf: array[8, byte]
      check c.recv(buf, MSG_PEEK) == 2 and c.recv(buf) == 2
      c.write "xyz"
      c.shutdown SHUT_WR
      var done: int
      raisesStatus(EPIPE): s.readFull(buf, done)
      check done == 3
      c.close()
      raisesStatus(EPIPE):
        while true: s.write big
      raisesStatus(-int32(ECONNREFUSED)):
        let port = listener.localAddress.port
        listener.close()
        discard dial("127.0.0.1", port)
      raisesStatus(EAI_SERVICE): discard resolve("127.0.0.1", "no such service")
      check $resolve("::1", "80")[0] == "[::1]:80"
    runMain main()

  test "sockets of the Unix domain":
    proc main() =
      let path = "@gomax-nim-" & $getpid()
      let listener = listenUnix(path)
      check $listener.localAddress == path
      let own = newConn(socket(AF_UNIX, SOCK_STREAM, 0).cint)
      own.connect listener.localAddress
      let peer = listener.accept()
      let other = dial("unix", path)
      check own.sendFds([other.fd], "fd") == 2
      var fds = newSeq[cint](2)
      var buf: array[8, byte]
      check peer.recvFds(fds, buf) == 2 and fds.len == 1
      let copied = newConn(fds[0])
      check $copied.peerAddress == path
      discard own.sendFds([other.fd, own.fd], "x")
      raisesStatus(EMSGSIZE): discard peer.recvFds(fds, buf)
      check fds.len == 0
      raisesStatus(-int32(ENOENT)): discard listenInherited()
    runMain main()

  test "datagrams":
    proc main() =
      let (a, b) = (openUdp("127.0.0.1"), openUdp("127.0.0.1"))
      var buf: array[4, byte]
      var sender: Address
      expect TimeoutError: discard b.recvFrom(buf, sender, 0)
      a.sendTo "one", b.localAddress
      check b.recvFrom(buf, sender) == 3 and sender == a.localAddress
      b.sendTo "longer", sender
      check a.recvFrom(buf, sender, 10.sec) == 4
      a.sendTo "", b.localAddress # a message as well
      check b.recvFrom(buf, sender) == 0
    runMain main()

  test "plain numbers, and plain threads":
    var fds: array[2, cint]
    check pipe(fds) == 0
    expect TimeoutError: discard waitFd(fds[0], Readable, 1.ms)
    var many = [TPollfd(fd: fds[0], events: posix.POLLIN), TPollfd(fd: fds[1], events: posix.POLLOUT)]
    check pollMany(many) == 1 and many[1].revents == posix.POLLOUT
    expect TimeoutError: discard pollMany(toOpenArray(many, 0, 0), 1.ms)
    let (reads, writes) = (newConn(fds[0]), newConn(fds[1]))
    proc sends(c: ptr Conn) = c[].write "x"
    var task = go sends(unsafeAddr writes)
    check reads.read(1) == "x" # as a thread
    task.join()
    expect TimeoutError: discard reads.read(1, 1.ms)
