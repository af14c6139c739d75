## Connections, listeners, datagrams, and every other descriptor that a goroutine reads, writes or waits for: `import
## gomax/net`. What waits parks the goroutine and keeps no thread.
##
## A `Conn` owns its descriptor and closes it when it goes away. It can be moved, not copied. Several goroutines may use
## one at the same time, by `ptr` or as a global; its readers take turns, and so do its writers. `close` ends what waits
## there with a `GomaxError` whose status is `EBADF` of `gomax/abi`, and so each later call.
##
## Timeouts are the last argument of a call, as everywhere: `TimeoutError`. A canceled token raises `CanceledError`.
from std/nativesockets import Port
from std/posix import nil
import required, abi, errors, gvars

export Port

{.emit: """/*INCLUDESECTION*/
#include <gomax.h>
""".}
{.emit: """
void gomax_nim_close(void *p) { (void)(gmx_close)(*(gmx_poll *)p); } // on a goroutine of its own, which waits for nothing else
""".}
proc closeLater(p: pointer) {.importc: "gomax_nim_close", cdecl, gcsafe, raises: [].}

type
  Conn* = object ## A socket, a pipe, a terminal, a file (`gomax/files`), or any other descriptor.
    raw: Handle
  Listener* = object ## A socket at which connections come in.
    raw: Handle
  Direction* {.pure.} = enum read, write, both ## For deadlines.
  Address* = object ## Of a socket: `$` gives `127.0.0.1:80`, `[::1]:80`, or the path of a Unix socket.
    room: array[16, uint64] ## a sockaddr_storage, whose size Nim does not know
    len: uint32
  ListenOptions* = object
    patient*: bool   ## `accept` waits while there are no descriptors for a connection
    reusePort*: bool ## several sockets may have the address
    v6Only*: bool
    unlink*: bool    ## the file of a Unix socket is removed, if no process answers there
    backlog*: int    ## 0: as many as the system allows

proc closeHandle(raw: var Handle) {.raises: [], gcsafe.} =
  if raw == 0: return
  let status = waits gmx_close(raw) # EBADF: it was closed before
  if status == ENOTG or status == EINSYSCALL: # a call may be on its way out, and nothing can wait for it here
    discard gmx_spawn_copy(closeLater, addr raw, csize_t(sizeof(raw)))
  raw = 0

proc `=copy`*(a: var Conn, b: Conn) {.error.}
proc `=copy`*(a: var Listener, b: Listener) {.error.}
proc `=destroy`*(c: var Conn) = closeHandle(c.raw)
proc `=destroy`*(l: var Listener) = closeHandle(l.raw)

type Owner* = Conn | Listener

const ## For `wait`, and what it returns.
  Readable* = POLL_IN
  Writable* = POLL_OUT
  Failed* = POLL_ERR
  HungUp* = POLL_HUP      ## the other end is closed
  PeerIsDone* = POLL_RDHUP ## the other end writes no more

proc handle*(c: Owner): Handle {.inline.} =
  ## For calls of `gomax/abi`.
  if c.raw == 0: misuse("the descriptor was never made: dial, accept, newConn, listenTcp")
  c.raw

proc adoptConn*(raw: Handle): Conn = Conn(raw: raw)
  ## Takes over a handle of C's.
proc newConn*(fd: cint, borrow = false): Conn =
  ## Of a descriptor, which is the `Conn`'s from here on unless it is borrowed.
  check gmx_poll_open(fd, if borrow: POLL_BORROW else: 0'u32, addr result.raw)
proc newListener*(fd: cint, borrow = false, patient = false): Listener =
  ## Of a socket that listens already.
  var flags = if borrow: POLL_BORROW else: 0'u32
  if patient: flags = flags or ACCEPT_PATIENT
  check gmx_poll_open(fd, flags, addr result.raw)

proc close*(c: Owner) = check waits(gmx_close(c.handle))
  ## What waits there ends with `EBADF`. Returns when it has left.
proc release*(c: Owner): cint =
  ## As `close`, and gives the descriptor back, open.
  var fd: int32
  check waits(gmx_poll_release(c.handle, addr fd))
  cint(fd)
proc fd*(c: Owner): cint = cint(counted gmx_poll_fd(c.handle))
  ## For calls of the system; good until `close`.
proc setDeadline*(c: Owner, at: int64, which = Direction.both) =
  ## Calls in a direction raise `TimeoutError` from this moment on, on the clock of `now`: those that wait too, and also
  ## if something is there to read. `forever`: none. `c.setDeadline(deadline(5.sec))`
  check gmx_poll_set_deadline(c.handle, [Readable, Writable, Readable or Writable][ord(which)], at)
proc wait*(c: Owner, events: uint32, timeout: Timeout = forever): uint32 =
  ## Waits for `Readable`, `Writable` or both, and returns what is there: `if (c.wait(Readable) and HungUp) != 0: ...`
  check waits(gmx_poll_wait(c.handle, events, int64(timeout), addr result))
proc waitFd*(fd: cint, events: uint32, timeout: Timeout = forever): uint32 =
  ## As `wait`, for one wait at a descriptor that stays the caller's. It must not be closed meanwhile.
  check waits(gmx_wait_fd(fd, events, int64(timeout), addr result))
proc pollMany*(fds: var openArray[posix.TPollfd], timeout: Timeout = forever): int =
  ## poll(2) for goroutines: how many are ready.
  let first = if fds.len == 0: nil else: addr fds[0]
  counted(waits gmx_poll_many(first, csize_t(fds.len), int64(timeout)))

# ---- reading and writing

template place(data: openArray[byte]): pointer =
  (if data.len == 0: nil else: unsafeAddr data[0])

proc read*(c: Conn, buf: var openArray[byte], timeout: Timeout = forever): int =
  ## What is there, at most `buf.len` bytes; waits while there is nothing. 0: the end.
  counted(waits gmx_read(c.handle, place(buf), csize_t(buf.len), int64(timeout)))
proc read*(c: Conn, n: Positive, timeout: Timeout = forever): string =
  ## At most n bytes; "": the end.
  result = newString(n)
  result.setLen c.read(toOpenArrayByte(result, 0, n - 1), timeout)
proc readFull*(c: Conn, buf: var openArray[byte], done: var int, timeout: Timeout = forever) =
  ## All of `buf`; `done` is how much of it was read, also if this raises. `EPIPE` if the data ends before.
  var n: csize_t
  let status = waits gmx_read_full(c.handle, place(buf), csize_t(buf.len), int64(timeout), addr n)
  done = int(n)
  check status
proc readFull*(c: Conn, buf: var openArray[byte], timeout: Timeout = forever) =
  check waits(gmx_read_full(c.handle, place(buf), csize_t(buf.len), int64(timeout), nil))
proc readFull*(c: Conn, n: Natural, timeout: Timeout = forever): string =
  result = newString(n)
  c.readFull(toOpenArrayByte(result, 0, n - 1), timeout)

proc write*(c: Conn, data: openArray[byte], done: var int, timeout: Timeout = forever) =
  ## All of it, not mixed with what others write there; `done` is how much was written, also if this raises. `EPIPE` if
  ## the other end is closed; there is no SIGPIPE.
  var n: csize_t
  let status = waits gmx_write(c.handle, place(data), csize_t(data.len), int64(timeout), addr n)
  done = int(n)
  check status
proc write*(c: Conn, data: openArray[byte], timeout: Timeout = forever) =
  check waits(gmx_write(c.handle, place(data), csize_t(data.len), int64(timeout), nil))
proc write*(c: Conn, text: string, timeout: Timeout = forever) =
  c.write(toOpenArrayByte(text, 0, text.high), timeout)
proc write*(c: Conn, parts: openArray[string], timeout: Timeout = forever) =
  ## One after the other, in one call of the system.
  var pieces = newSeq[posix.IOVec](parts.len)
  for i, part in parts:
    pieces[i].iov_base = cast[pointer](cstring(part))
    pieces[i].iov_len = csize_t(part.len)
  let first = if pieces.len == 0: pointer(unsafeAddr pieces) else: addr pieces[0] # any, but nil
  check waits(gmx_writev(c.handle, first, int32(pieces.len), int64(timeout), nil))

proc recv*(c: Conn, buf: var openArray[byte], flags: cint = 0, timeout: Timeout = forever): int =
  ## One recv, by the flags of the system: what is there, or one message.
  counted(waits gmx_recv(c.handle, place(buf), csize_t(buf.len), flags, int64(timeout)))
proc send*(c: Conn, data: openArray[byte], flags: cint = 0, timeout: Timeout = forever): int =
  ## One send: of a stream as much as there is room for, or one message.
  counted(waits gmx_send(c.handle, place(data), csize_t(data.len), flags, int64(timeout)))

proc shutdown*(c: Conn, how: cint) = check gmx_poll_shutdown(c.handle, how)
  ## Ends a direction for good: `SHUT_RD`, `SHUT_WR`, `SHUT_RDWR` of std/posix.

proc sendFds*(c: Conn, fds: openArray[cint], with: string, timeout: Timeout = forever): int =
  ## Sends descriptors, which stay the caller's, with at least one byte, by a socket of the Unix domain.
  let first = if fds.len == 0: nil else: cast[ptr int32](unsafeAddr fds[0])
  counted(waits gmx_send_fds(c.handle, first, csize_t(fds.len), cstring(with), csize_t(with.len), int64(timeout)))
proc recvFds*(c: Conn, fds: var seq[cint], buf: var openArray[byte], timeout: Timeout = forever): int =
  ## Receives bytes, and descriptors into `fds`, which has room for as many as it is long, and then those that came.
  ## They are the caller's. `EMSGSIZE` if there is no room for all: then they are closed.
  var n = csize_t(fds.len)
  let first = if fds.len == 0: nil else: cast[ptr int32](addr fds[0])
  let status = waits gmx_recv_fds(c.handle, first, addr n, place(buf), csize_t(buf.len), int64(timeout))
  fds.setLen(if status < 0: 0 else: int(n))
  counted status

# ---- addresses

template sockaddr(a: Address): pointer = unsafeAddr a.room

proc family*(a: Address): int = int(cast[ptr posix.SockAddr](a.sockaddr).sa_family)
proc port*(a: Address): Port =
  case a.family
  of posix.AF_INET: Port(posix.ntohs(cast[ptr posix.Sockaddr_in](a.sockaddr).sin_port))
  of posix.AF_INET6: Port(posix.ntohs(cast[ptr posix.Sockaddr_in6](a.sockaddr).sin6_port))
  else: Port(0)
proc host*(a: Address): string =
  ## The number, or the path of a Unix socket.
  var text = newString(64)
  case a.family
  of posix.AF_INET:
    let v4 = cast[ptr posix.Sockaddr_in](a.sockaddr)
    discard posix.inet_ntop(posix.AF_INET, addr v4.sin_addr, cstring(text), int32(text.len))
  of posix.AF_INET6:
    let v6 = cast[ptr posix.Sockaddr_in6](a.sockaddr)
    discard posix.inet_ntop(posix.AF_INET6, addr v6.sin6_addr, cstring(text), int32(text.len))
  of posix.AF_UNIX:
    let path = addr cast[ptr posix.Sockaddr_un](a.sockaddr).sun_path
    text.setLen 0
    for i in 0 ..< int(a.len) - int(offsetOf(posix.Sockaddr_un, sun_path)):
      if path[i] == '\0' and i > 0: break
      text.add(if path[i] == '\0': '@' else: path[i])
    return text
  else: return ""
  text.setLen cstring(text).len
  text
proc `$`*(a: Address): string =
  case a.family
  of posix.AF_INET: a.host & ":" & $int(a.port)
  of posix.AF_INET6: "[" & a.host & "]:" & $int(a.port)
  else: a.host
proc `==`*(a, b: Address): bool = a.len == b.len and equalMem(a.sockaddr, b.sockaddr, int(a.len))

template toldBy(call, number: untyped) = # each in a proc of its own: it looks at errno
  var len = posix.SockLen(sizeof(result.room))
  if call(posix.SocketHandle(number), cast[ptr posix.SockAddr](addr result.room), addr len) != 0:
    raiseStatus(-int32(posix.errno))
  result.len = uint32(len)
proc localOf(number: cint): Address {.noinline.} = toldBy(posix.getsockname, number)
proc peerOf(number: cint): Address {.noinline.} = toldBy(posix.getpeername, number)
proc localAddress*(c: Owner): Address = localOf(c.fd)
proc peerAddress*(c: Conn): Address = peerOf(c.fd)

proc toC(s: string): cstring = (if s.len == 0: nil else: cstring(s))

proc resolve*(host: string, service = "", timeout: Timeout = forever): seq[Address] =
  ## The addresses of a host, by getaddrinfo on another thread. An error of the resolver has a status `EAI_*`.
  var hints: posix.AddrInfo
  hints.ai_socktype = posix.SOCK_STREAM
  var list: pointer
  check waits(gmx_getaddrinfo(toC(host), toC(service), addr hints, addr list, int64(timeout)))
  var i = cast[ptr posix.AddrInfo](list)
  while i != nil:
    var a = Address(len: uint32(i.ai_addrlen))
    copyMem(addr a.room, i.ai_addr, min(int(a.len), sizeof(a.room)))
    result.add a
    i = i.ai_next
  posix.freeaddrinfo(cast[ptr posix.AddrInfo](list))

# ---- dialing and listening

proc dial*(network, host: string, service = "", timeout: Timeout = forever): Conn =
  ## Connects to the first address of a name that answers: `dial("tcp", "example.org", "https")`. The networks are those
  ## of `gmx_dial`; for "unix" the host is the path.
  check waits(gmx_dial(cstring(network), toC(host), toC(service), nil, int64(timeout), addr result.raw))
proc dial*(host: string, port: Port, timeout: Timeout = forever): Conn =
  ## By TCP.
  dial("tcp", host, $int(port), timeout)
proc connect*(c: Conn, to: Address, timeout: Timeout = forever) =
  ## Connects a socket of the caller's own. After an error it is of no more use.
  check waits(gmx_connect(c.handle, to.sockaddr, to.len, int64(timeout)))

proc toC(o: ListenOptions): ListenOpts =
  result = ListenOpts(struct_size: csize_t(sizeof(ListenOpts)), backlog: int32(o.backlog))
  if o.patient: result.flags = result.flags or ACCEPT_PATIENT
  if o.reusePort: result.flags = result.flags or LISTEN_REUSEPORT
  if o.v6Only: result.flags = result.flags or LISTEN_V6ONLY
  if o.unlink: result.flags = result.flags or LISTEN_UNLINK

proc listenTcp*(host = "", port = Port(0), options = ListenOptions()): Listener =
  ## At a host's name or number ("": all addresses) and a port (0: any that is free; `localAddress` tells it).
  let opts = options.toC
  check waits(gmx_listen_tcp(toC(host), cstring($int(port)), unsafeAddr opts, addr result.raw))
proc listenUnix*(path: string, options = ListenOptions()): Listener =
  ## At a path, or behind an at sign an abstract name. The file stays when the listener is closed.
  let opts = options.toC
  check gmx_listen_unix(cstring(path), unsafeAddr opts, addr result.raw)
proc listenInherited*(index: Natural = 0): Listener =
  ## One of the sockets that systemd has started the process with.
  check gmx_listen_inherit(csize_t(index), addr result.raw)

proc accept*(l: Listener, timeout: Timeout = forever): Conn =
  check waits(gmx_accept(l.handle, addr result.raw, nil, nil, int64(timeout)))

proc accept*(l: Listener, c: var Conn, timeout: Timeout = forever): bool =
  ## For loops: `while listener.accept(c): scope.spawn serve(move c)`. False when the listener is closed.
  var came: Conn
  let status = waits gmx_accept(l.handle, addr came.raw, nil, nil, int64(timeout))
  if status == EBADF: return false
  check status
  c = move came
  true

# ---- datagrams

proc openUdp*(host = "", port = Port(0), options = ListenOptions()): Conn =
  ## A socket for messages, at an address of this machine as for `listenTcp`.
  let opts = options.toC
  check waits(gmx_udp_open(toC(host), cstring($int(port)), unsafeAddr opts, addr result.raw))
proc sendTo*(c: Conn, data: openArray[byte], to: Address, timeout: Timeout = forever): int {.discardable.} =
  ## One message, as a whole.
  counted(waits gmx_sendto(c.handle, place(data), csize_t(data.len), 0, to.sockaddr, to.len, int64(timeout)))
proc sendTo*(c: Conn, text: string, to: Address, timeout: Timeout = forever): int {.discardable.} =
  c.sendTo(toOpenArrayByte(text, 0, text.high), to, timeout)
proc recvFrom*(c: Conn, buf: var openArray[byte], sender: var Address, timeout: Timeout = forever): int =
  ## The next message, of which what has no room is lost, and where it came from.
  sender.len = uint32(sizeof(sender.room))
  result = counted(waits gmx_recvfrom(c.handle, place(buf), csize_t(buf.len), 0, addr sender.room, addr sender.len, int64(timeout)))
  sender.len = min(sender.len, uint32(sizeof(sender.room)))
