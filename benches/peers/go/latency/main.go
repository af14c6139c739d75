// golatency: ../../../latency/latency.c in Go, with the same cases and parameters.
//
//	golatency CASE HOGS N [PS]
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	n    int
	late []time.Duration
	done sync.WaitGroup
)

func compute(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); {
	}
}

func came(due time.Time) { late = append(late, time.Since(due)) }

func comes(due time.Time) {
	came(due)
	done.Done()
}

func timer() {
	for range n {
		due := time.Now().Add(time.Millisecond)
		time.Sleep(time.Millisecond)
		came(due)
	}
}

func afterFunc() {
	for range n {
		done.Add(1)
		due := time.Now().Add(time.Millisecond)
		time.AfterFunc(time.Millisecond, func() { comes(due) })
		compute(10 * time.Millisecond)
		done.Wait()
	}
}

func wake() {
	stamps := make(chan time.Time, 1)
	go func() {
		for range n {
			comes(<-stamps)
		}
	}()
	for range n {
		time.Sleep(time.Millisecond)
		done.Add(1)
		stamps <- time.Now()
		compute(10 * time.Millisecond)
		done.Wait()
	}
}

func handOff() {
	for range n {
		done.Add(1)
		now := time.Now()
		go comes(now)
		t := syscall.NsecToTimespec(3e6)
		syscall.Nanosleep(&t, nil)
		done.Wait()
	}
}

func firstRun() {
	for range n {
		done.Add(1)
		now := time.Now()
		go comes(now)
		compute(10 * time.Millisecond)
		done.Wait()
	}
}

func resize() {
	for i := range n {
		time.Sleep(time.Millisecond)
		begin := time.Now()
		runtime.GOMAXPROCS(3 - i%2)
		came(begin)
	}
}

func memStats() {
	var stats runtime.MemStats
	for range n {
		time.Sleep(time.Millisecond)
		begin := time.Now()
		runtime.ReadMemStats(&stats)
		came(begin)
	}
}

func bracketedRead() {
	var fds [2]int
	syscall.Pipe(fds[:])
	for range n {
		go syscall.Write(fds[1], []byte("x"))
		begin := time.Now()
		syscall.Read(fds[0], make([]byte, 1))
		runtime.Gosched()
		came(begin)
	}
}

var turns uint64

func cpuTime() time.Duration {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func rate(ticks bool) float64 {
	begin, until := cpuTime(), time.Now().Add(500*time.Millisecond)
	before := atomic.LoadUint64(&turns)
	if ticks {
		for time.Now().Before(until) {
			time.Sleep(time.Millisecond)
		}
	} else {
		time.Sleep(500 * time.Millisecond)
	}
	return float64(atomic.LoadUint64(&turns)-before) / float64(cpuTime()-begin)
}

func throughput() {
	for range n {
		alone := rate(false)
		late = append(late, time.Duration(1e6*rate(true)/alone))
	}
}

// calls nothing, as a hog of C code that does not poll
func deafHog() {
	for {
		atomic.StoreUint64(&turns, turns+1)
	}
}

func main() {
	deaf := len(os.Args) > 4
	if deaf {
		ps, _ := strconv.Atoi(os.Args[4])
		runtime.GOMAXPROCS(ps)
	} else {
		runtime.GOMAXPROCS(2)
	}
	hogs, _ := strconv.Atoi(os.Args[2])
	n, _ = strconv.Atoi(os.Args[3])
	late = make([]time.Duration, 0, n)
	for range hogs {
		if deaf {
			go deafHog()
			continue
		}
		go func() {
			for {
				compute(time.Millisecond)
			}
		}()
	}
	time.Sleep(20 * time.Millisecond)
	map[string]func(){"timer": timer, "after_func": afterFunc, "wake": wake, "hand_off": handOff, "first_run": firstRun,
		"resize": resize, "mem_stats": memStats, "bracketed_read": bracketedRead, "throughput": throughput}[os.Args[1]]()
	out := bufio.NewWriter(os.Stdout)
	for _, d := range late {
		fmt.Fprintln(out, d.Nanoseconds())
	}
	out.Flush()
}
