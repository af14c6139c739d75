// gobench: the cases of ../../gmxbench.c in Go, under the same names and with the same parameters.
//
//	gobench CASE PROCS N [M]
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

var (
	procs, n, m int
	begin       time.Time
	cpuBegin    float64
)

func cpuNs() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

func statusKB(key string) int {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == key+":" {
			kb, _ := strconv.Atoi(words[1])
			return kb
		}
	}
	return 0
}

func start() {
	cpuBegin = cpuNs()
	begin = time.Now()
}

func reportEach(operations int) {
	ns, cpu := float64(time.Since(begin))/float64(operations), (cpuNs()-cpuBegin)/float64(operations)
	fmt.Printf("ns=%.2f cpu_ns=%.2f rss_mb=%d\n", ns, cpu, statusKB("VmHWM")/1024)
}

func reportWhole() {
	ms, cpu := float64(time.Since(begin))/1e6, (cpuNs()-cpuBegin)/1e6
	fmt.Printf("ms=%.3f cpu_ms=%.1f rss_mb=%d threads=%d\n", ms, cpu, statusKB("VmHWM")/1024, statusKB("Threads"))
}

func reportMedian(ns []time.Duration) {
	sort.Slice(ns, func(i, k int) bool { return ns[i] < ns[k] })
	fmt.Printf("ns=%d p99_ns=%d max_ns=%d\n", ns[len(ns)/2], ns[len(ns)*99/100], ns[len(ns)-1])
}

func yield() {
	var group sync.WaitGroup
	group.Add(m)
	start()
	for range m {
		go func() {
			for range n / m {
				runtime.Gosched()
			}
			group.Done()
		}()
	}
	group.Wait()
	reportEach(n / m * m)
}

func spawnBatches() {
	var group sync.WaitGroup
	start()
	for range n / m {
		group.Add(m)
		for range m {
			go group.Done()
		}
		group.Wait()
	}
	reportEach(n / m * m)
}

func skynetNode(up *sync.WaitGroup, out *atomic.Int64, first, size int) {
	if size == 1 {
		out.Add(int64(first))
	} else {
		var children sync.WaitGroup
		var sum atomic.Int64
		children.Add(10)
		for i := range 10 {
			go skynetNode(&children, &sum, first+i*(size/10), size/10)
		}
		children.Wait()
		out.Add(sum.Load())
	}
	up.Done()
}

func skynet() {
	var group sync.WaitGroup
	var sum atomic.Int64
	group.Add(1)
	start()
	go skynetNode(&group, &sum, 0, n)
	group.Wait()
	reportWhole()
}

func fibOf(k int) int {
	if k < 2 {
		return k
	}
	var wg sync.WaitGroup
	var left int
	wg.Add(1)
	go func() { left = fibOf(k - 1); wg.Done() }()
	right := fibOf(k - 2)
	wg.Wait()
	return left + right
}

func fib() {
	start()
	fibOf(n)
	reportWhole()
}

var ping, pong uint32

func semaPingpong(lock bool) {
	go func() {
		if lock {
			runtime.LockOSThread()
		}
		for range n {
			semacquire(&ping)
			semrelease(&pong, false, 0)
		}
	}()
	start()
	for range n {
		semrelease(&ping, false, 0)
		semacquire(&pong)
	}
	reportEach(n)
}

func mutexContended() {
	var group sync.WaitGroup
	var mutex sync.Mutex
	guarded := 0
	group.Add(n)
	start()
	for range n {
		go func() {
			for range m {
				mutex.Lock()
				guarded++
				mutex.Unlock()
			}
			group.Done()
		}()
	}
	group.Wait()
	reportEach(n * m)
}

func syscallGetppid() {
	start()
	for range n {
		syscall.Syscall(syscall.SYS_GETPPID, 0, 0, 0)
	}
	reportEach(n)
}

func syscallBlocking() {
	var group sync.WaitGroup
	group.Add(n)
	start()
	for range n {
		go func() {
			for range m {
				syscall.Nanosleep(&syscall.Timespec{Nsec: 10000000}, nil)
			}
			group.Done()
		}()
	}
	group.Wait()
	reportWhole()
}

func handoffRetaken() {
	taken := make([]time.Duration, n)
	var ends [2]int
	syscall.Pipe(ends[:])
	var ranAt time.Time
	one := make([]byte, 1)
	for i := range n {
		go func() {
			ranAt = time.Now()
			syscall.RawSyscall(syscall.SYS_WRITE, uintptr(ends[1]), uintptr(unsafe.Pointer(&one[0])), 1)
		}()
		leftAt := time.Now()
		syscall.Read(ends[0], one)
		taken[i] = ranAt.Sub(leftAt)
	}
	reportMedian(taken)
}

func mix(i uint64) uint64 {
	z := i*0x9e3779b97f4a7c15 + 0x9e3779b97f4a7c15
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

func sleepStorm() {
	late := make([]time.Duration, n)
	var group sync.WaitGroup
	group.Add(n)
	start()
	for i := range n {
		go func() {
			d, t := time.Duration(mix(uint64(i))%1000+1)*time.Millisecond, time.Now()
			time.Sleep(d)
			late[i] = time.Since(t) - d
			group.Done()
		}()
	}
	group.Wait()
	ms, cpu := float64(time.Since(begin))/1e6, cpuNs()-cpuBegin
	sort.Slice(late, func(i, k int) bool { return late[i] < late[k] })
	fmt.Printf("ms=%.1f cpu_ms=%.1f p50_us=%.1f p99_us=%.1f rss_mb=%d\n", ms, cpu/1e6, float64(late[n/2])/1e3,
		float64(late[n*99/100])/1e3, statusKB("VmHWM")/1024)
}

func parked() {
	before := statusKB("VmRSS")
	var gate, allStarted uint32
	var started atomic.Int64
	start()
	for range n {
		go func() {
			if started.Add(1) == int64(n) {
				semrelease(&allStarted, false, 0)
			}
			semacquire(&gate)
		}()
	}
	semacquire(&allStarted)
	ns, cpu := float64(time.Since(begin))/float64(n), (cpuNs()-cpuBegin)/float64(n)
	fmt.Printf("ns=%.1f cpu_ns=%.1f rss_b=%.0f\n", ns, cpu, 1024*float64(statusKB("VmRSS")-before)/float64(n))
}

func stopStartWorld() {
	start()
	for range n {
		startTheWorld(stopTheWorld(0))
	}
	reportEach(n)
}

func forEveryP() {
	nothing := func(unsafe.Pointer) {}
	start()
	for range n {
		forEachP(nothing)
	}
	reportEach(n)
}

func withABusyP(body func()) {
	var computing, enough atomic.Bool
	go func() {
		computing.Store(true)
		for !enough.Load() {
		}
	}()
	for !computing.Load() {
		runtime.Gosched()
	}
	body()
	enough.Store(true)
}

func gomaxprocs() {
	start()
	for i := range n {
		if i%2 == 0 {
			runtime.GOMAXPROCS(m)
		} else {
			runtime.GOMAXPROCS(procs)
		}
	}
	reportEach(n)
}

func readMemStats() {
	var stats runtime.MemStats
	start()
	for range n {
		runtime.ReadMemStats(&stats)
	}
	reportEach(n)
}

func idleCPU() {
	var group sync.WaitGroup
	group.Add(1000)
	for range 1000 {
		go group.Done()
	}
	group.Wait()
	time.Sleep(100 * time.Millisecond)
	start()
	time.Sleep(time.Duration(n) * time.Millisecond)
	fmt.Printf("us_per_s=%.1f\n", (cpuNs()-cpuBegin)/1e3/time.Since(begin).Seconds())
}

func each(body func()) {
	start()
	for range n {
		body()
	}
	reportEach(n)
}

func rlockUncontended() {
	var rw sync.RWMutex
	each(func() { rw.RLock(); rw.RUnlock() })
}

func mutexUncontended() {
	var mu sync.Mutex
	each(func() { mu.Lock(); mu.Unlock() })
}

func rwmutexReadMostly() {
	var rw sync.RWMutex
	var group sync.WaitGroup
	guarded := 0
	group.Add(n)
	start()
	for range n {
		go func() {
			for i := range m {
				if i%100 == 0 {
					rw.Lock()
					guarded++
					rw.Unlock()
				} else {
					rw.RLock()
					if guarded < 0 {
						os.Exit(1)
					}
					rw.RUnlock()
				}
			}
			group.Done()
		}()
	}
	group.Wait()
	reportEach(n * m)
}

func condBroadcast() {
	var group sync.WaitGroup
	var mu sync.Mutex
	c := sync.NewCond(&mu)
	turn := 0
	group.Add(m)
	start()
	for range m {
		go func() {
			mu.Lock()
			for turn < n {
				turn++
				c.Broadcast()
				if turn < n {
					c.Wait()
				}
			}
			mu.Unlock()
			group.Done()
		}()
	}
	group.Wait()
	reportEach(n)
}

func condPingpong() {
	var mu sync.Mutex
	c := sync.NewCond(&mu)
	pinged := false
	go func() {
		mu.Lock()
		for range n {
			for !pinged {
				c.Wait()
			}
			pinged = false
			c.Signal()
		}
		mu.Unlock()
	}()
	mu.Lock()
	start()
	for range n {
		pinged = true
		c.Signal()
		for pinged {
			c.Wait()
		}
	}
	mu.Unlock()
	reportEach(n)
}

func onceFast() {
	var once sync.Once
	f := func() {}
	each(func() { once.Do(f) })
}

func timerStartStop() {
	f := func() {}
	for range m {
		time.AfterFunc(time.Hour, f)
	}
	each(func() { time.AfterFunc(time.Hour, f).Stop() })
}

func timerReset() {
	t := make([]*time.Timer, m)
	for i := range t {
		t[i] = time.AfterFunc(time.Hour, func() {})
	}
	start()
	for i := range n {
		t[i%m].Reset(time.Hour + time.Duration(i%1000))
	}
	reportEach(n)
}

func timersFire() {
	t := make([]*time.Timer, n)
	var left atomic.Int64
	left.Store(int64(n))
	fired := make(chan bool)
	f := func() {
		if left.Add(-1) == 0 {
			fired <- true
		}
	}
	start()
	for i := range n {
		t[i] = time.AfterFunc(time.Duration(mix(uint64(i))%uint64(m)+1)*time.Millisecond, f)
	}
	<-fired
	reportWhole()
}

func timersStopped() {
	t := make([]*time.Timer, n)
	f := func() {}
	start()
	for i := range n {
		t[i] = time.AfterFunc(time.Hour+time.Duration(mix(uint64(i))%1000000), f)
	}
	for i := range n {
		t[i].Stop()
	}
	reportEach(n)
}

func ticker() {
	t := time.NewTicker(time.Duration(m) * time.Microsecond)
	start()
	for range n {
		<-t.C
	}
	reportEach(n)
}

func sleepShort() {
	took := make([]time.Duration, n)
	for i := range n {
		t := time.Now()
		time.Sleep(time.Duration(m) * time.Microsecond)
		took[i] = time.Since(t)
	}
	reportMedian(took)
}

var cases = map[string]func(){
	"mutex_uncontended":       mutexUncontended,
	"rlock_uncontended":       rlockUncontended,
	"rwmutex_read_mostly":     rwmutexReadMostly,
	"cond_broadcast":          condBroadcast,
	"cond_pingpong":           condPingpong,
	"once_fast":               onceFast,
	"timer_start_stop":        timerStartStop,
	"timer_reset":             timerReset,
	"timers_fire":             timersFire,
	"timers_stopped":          timersStopped,
	"ticker":                  ticker,
	"sleep_short":             sleepShort,
	"yield":                   yield,
	"spawn_batches":           spawnBatches,
	"skynet":                  skynet,
	"fib":                     fib,
	"sema_pingpong":           func() { semaPingpong(false) },
	"locked_thread_pingpong":  func() { semaPingpong(true) },
	"mutex_contended":         mutexContended,
	"chan_pingpong":           func() { chanPingpong(0) },
	"chan_pingpong_buffered":  func() { chanPingpong(1) },
	"chan_prod_cons":          chanProdCons,
	"chan_fan_in":             chanFanIn,
	"chan_try_recv":           chanTryRecv,
	"chan_uncontended":        chanUncontended,
	"chan_select_uncontended": chanSelectUncontended,
	"chan_select_default":     chanSelectDefault,
	"chan_select_prod_cons":   chanSelectProdCons,
	"syscall_bracket":         func() { each(syscallBracket) },
	"syscall_getppid":         syscallGetppid,
	"syscall_blocking":        syscallBlocking,
	"handoff_retaken":         handoffRetaken,
	"sleep_storm":             sleepStorm,
	"parked":                  parked,
	"stop_start_world":        stopStartWorld,
	"stop_start_busy_world":   func() { withABusyP(stopStartWorld) },
	"for_each_p":              forEveryP,
	"for_each_busy_p":         func() { withABusyP(forEveryP) },
	"gomaxprocs":              gomaxprocs,
	"read_mem_stats":          readMemStats,
	"idle_cpu":                idleCPU,
	"pin_unpin":               func() { each(func() { procPin(); procUnpin() }) },
}

func main() {
	var body func()
	if len(os.Args) >= 4 {
		body = cases[os.Args[1]]
		procs, _ = strconv.Atoi(os.Args[2])
		n, _ = strconv.Atoi(os.Args[3])
		m = 1
		if len(os.Args) > 4 {
			m, _ = strconv.Atoi(os.Args[4])
		}
	}
	if body == nil || procs < 1 || n < 1 || m < 1 {
		fmt.Fprintln(os.Stderr, "usage: gobench CASE PROCS N [M]")
		os.Exit(2)
	}
	runtime.GOMAXPROCS(procs)
	body()
}
