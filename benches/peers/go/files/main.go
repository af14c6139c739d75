// Many goroutines on files, and other calls that block: as ../../../files/files.c.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	block     = 4096
	ownBlocks = 256
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func cpu() (ns int64) {
	for _, of := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var used syscall.Rusage
		must(syscall.Getrusage(of, &used))
		ns += used.Utime.Nano() + used.Stime.Nano()
	}
	return ns
}

func somewhere(seed *uint64, blocks uint64) int64 {
	*seed ^= *seed << 13
	*seed ^= *seed >> 7
	*seed ^= *seed << 17
	return int64(*seed%blocks) * block
}

func advise(file *os.File, how uintptr) {
	syscall.Syscall6(syscall.SYS_FADVISE64, file.Fd(), 0, 0, how, 0, 0)
}

func main() {
	what := os.Args[1]
	n, err := strconv.Atoi(os.Args[2])
	must(err)
	ms, err := strconv.Atoi(os.Args[3])
	must(err)
	var file *os.File
	var blocks uint64
	own := make([]*os.File, n)
	if len(os.Args) > 4 {
		path := os.Args[4]
		file, err = os.Open(path)
		must(err)
		info, err := file.Stat()
		must(err)
		blocks = uint64(info.Size() / block)
		if what == "cached" {
			blocks = min(blocks, 16384)
			text := make([]byte, block)
			for i := range int64(blocks) {
				_, err := file.ReadAt(text, i*block)
				must(err)
			}
		} else {
			advise(file, 4) // POSIX_FADV_DONTNEED
			advise(file, 1) // POSIX_FADV_RANDOM
		}
		for i := range own {
			if what != "sync" {
				break
			}
			name := fmt.Sprintf("%s.%d", path, i)
			own[i], err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0600)
			must(err)
			must(os.Remove(name))
			_, err = own[i].WriteAt(make([]byte, ownBlocks*block), 0)
			must(err)
			must(own[i].Sync())
		}
	}
	begin, before := time.Now(), cpu()
	end := begin.Add(time.Duration(ms) * time.Millisecond)
	var done atomic.Int64
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			seed := uint64(88172645463325252) + uint64(i)*7919
			text := make([]byte, block)
			for ; time.Now().Before(end); done.Add(1) {
				switch what {
				case "sync":
					_, err := own[i].WriteAt(text, somewhere(&seed, ownBlocks))
					must(err)
					must(syscall.Fdatasync(int(own[i].Fd())))
				case "names":
					_, err := net.LookupHost("localhost")
					must(err)
				case "spawn":
					must(exec.Command("/bin/true").Run())
				default:
					_, err := file.ReadAt(text, somewhere(&seed, blocks))
					must(err)
				}
			}
		})
	}
	all.Wait()
	fmt.Println(done.Load(), time.Since(begin).Nanoseconds(), cpu()-before, 0)
}
