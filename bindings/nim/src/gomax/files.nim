## Files: `import gomax/[net, files]`. A file is a `Conn`: `read` and `write` continue at its place, and what is here
## reads and writes at an offset, which leaves the place alone.
##
## What the system has begun with a file it ends: no timeout and no token ends a call here, and `close` waits for it.
## Reads of what is in memory are made at once; other calls run beside the Ps, so many at a time.
from std/posix import nil
import required, abi, errors, gvars, net

template place(data: openArray[byte]): pointer =
  (if data.len == 0: nil else: unsafeAddr data[0])

proc openFile*(path: string, flags = posix.O_RDONLY, mode = 0o666): Conn =
  ## Flags and mode are those of open(2), in std/posix.
  var raw: Handle
  check waits(gmx_open(cstring(path), int32(flags), uint32(mode), addr raw))
  adoptConn(raw)

proc pread*(c: Conn, buf: var openArray[byte], offset: int64): int =
  ## Fewer than `buf.len` bytes come only at the end of the file; 0 behind it.
  counted(waits gmx_pread(c.handle, place(buf), csize_t(buf.len), offset))
proc pread*(c: Conn, n: Positive, offset: int64): string =
  result = newString(n)
  result.setLen c.pread(toOpenArrayByte(result, 0, n - 1), offset)
proc pwrite*(c: Conn, data: openArray[byte], offset: int64) =
  ## All of it. `sync` waits until it is on the disk.
  check waits(gmx_pwrite(c.handle, place(data), csize_t(data.len), offset, nil))
proc pwrite*(c: Conn, text: string, offset: int64) =
  c.pwrite(toOpenArrayByte(text, 0, text.high), offset)

proc sync*(c: Conn) = check waits(gmx_fsync(c.handle)) ## Waits until all that was written is on the disk.
proc dataSync*(c: Conn) = check waits(gmx_fdatasync(c.handle))
  ## Without what is not needed to read it again.
proc truncate*(c: Conn, size: int64) = check waits(gmx_ftruncate(c.handle, size))
proc allocate*(c: Conn, offset, n: int64, mode: cint = 0) = check waits(gmx_fallocate(c.handle, mode, offset, n))
  ## Takes room on the disk; the mode is that of fallocate(2).

type Statx = object # struct statx of the system, which has this form on all machines
  mask, blksize: uint32
  attributes: uint64
  nlink, uid, gid: uint32
  mode, spare: uint16
  ino, size: uint64
  more: array[26, uint64]

proc fileSize*(c: Conn): int64 =
  var what: Statx
  check waits(gmx_statx(c.handle, nil, 0, 0x200, addr what)) # STATX_SIZE
  int64(what.size)

proc renamePath*(source, dest: string) = check waits(gmx_rename(cstring(source), cstring(dest), 0))
  ## Replaces what has that name.
proc unlinkPath*(path: string) = check waits(gmx_unlink(cstring(path), 0))
proc makeDirectory*(path: string, mode = 0o777) = check waits(gmx_mkdir(cstring(path), uint32(mode)))

proc copyBytes*(source, dest: Conn, done: var int64, n = high(int64), timeout: Timeout = forever) =
  ## Copies n bytes, or all that there are, between any two descriptors, within the system where it can. `done` is how
  ## many have come to the other end, also if this raises. The timeout counts where it waits for a connection.
  var count: uint64
  let status = waits gmx_copy(source.handle, dest.handle, uint64(n), addr count, int64(timeout))
  done = int64(count)
  check status
proc copyBytes*(source, dest: Conn, n = high(int64), timeout: Timeout = forever): int64 {.discardable.} =
  copyBytes(source, dest, result, n, timeout)
