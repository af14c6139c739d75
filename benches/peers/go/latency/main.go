// golatency: ../../../latency/latency.c in Go, with the same cases and parameters.
//
//	golatency CASE HOGS N
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
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

func main() {
	runtime.GOMAXPROCS(2)
	hogs, _ := strconv.Atoi(os.Args[2])
	n, _ = strconv.Atoi(os.Args[3])
	late = make([]time.Duration, 0, n)
	for range hogs {
		go func() {
			for {
				compute(time.Millisecond)
			}
		}()
	}
	time.Sleep(20 * time.Millisecond)
	map[string]func(){"timer": timer, "after_func": afterFunc, "wake": wake, "hand_off": handOff, "first_run": firstRun}[os.Args[1]]()
	out := bufio.NewWriter(os.Stdout)
	for _, d := range late {
		fmt.Fprintln(out, d.Nanoseconds())
	}
	out.Flush()
}
