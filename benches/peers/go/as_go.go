package main

// The benchmarks of Go's own packages runtime, sync and time, as in ../../as_go.c.

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// by does n times what body does, by as many Gs
func by(gs int, body func(times int)) {
	var group sync.WaitGroup
	group.Add(gs)
	start()
	for range gs {
		go func() {
			body(n / gs)
			group.Done()
		}()
	}
	group.Wait()
	reportEach(n / gs * gs)
}

//go:noinline
func work(times int) {
	foo := uint32(1)
	for range times {
		foo = foo*1664525 + 1013904223
	}
	if foo == 42 {
		os.Exit(1)
	}
}

// ---- channels ----

func selectNonblock() {
	c1, c2, c3, c4 := make(chan int), make(chan int), make(chan int, 1), make(chan int, 1)
	by(procs, func(times int) {
		for range times {
			select {
			case <-c1:
			default:
			}
			select {
			case c2 <- 0:
			default:
			}
			select {
			case <-c3:
			default:
			}
			select {
			case c4 <- 0:
			default:
			}
		}
	})
}

func selectSyncContended() {
	c1, c2, c3, over := make(chan int), make(chan int), make(chan int), make(chan int)
	by(procs, func(times int) {
		go func() {
			for {
				select {
				case c1 <- 0:
				case c2 <- 0:
				case c3 <- 0:
				case <-over:
					return
				}
			}
		}()
		for range times {
			select {
			case <-c1:
			case <-c2:
			case <-c3:
			}
		}
	})
}

func selectAsyncContended() {
	c1, c2 := make(chan int, procs), make(chan int, procs)
	by(procs, func(times int) {
		c1 <- 0
		for range times {
			select {
			case v := <-c1:
				c2 <- v
			case v := <-c2:
				c1 <- v
			}
		}
	})
}

func chanContended() {
	c := make(chan int, 100*procs)
	by(procs, func(times int) {
		for i := 0; i < times; i += 100 {
			for range 100 {
				c <- 0
			}
			for range 100 {
				<-c
			}
		}
	})
}

func chanSync() {
	c := make(chan int)
	go func() {
		for range n {
			v := <-c
			work(m - 1)
			c <- v
			work(m - 1)
		}
	}()
	by(1, func(times int) {
		for range times {
			c <- 0
			work(m - 1)
			<-c
			work(m - 1)
		}
	})
}

func chanProdConsWork() {
	c := make(chan int, m-1)
	var consumers sync.WaitGroup
	by(procs, func(times int) {
		consumers.Go(func() {
			for <-c != 0 {
				work(100)
			}
		})
		for range times {
			work(100)
			c <- 1
		}
		c <- 0
		consumers.Wait()
	})
}

func selectProdCons() {
	c, never := make(chan int, 128), make(chan bool)
	var consumers sync.WaitGroup
	by(procs, func(times int) {
		consumers.Go(func() {
			hour := time.After(time.Hour)
			for {
				select {
				case v := <-c:
					if v == 0 {
						return
					}
				case <-hour:
				case <-never:
				}
				work(100)
			}
		})
		hour := time.After(time.Hour)
		for range times {
			work(100)
			select {
			case c <- 1:
			case <-hour:
			case <-never:
			}
		}
		c <- 0
		consumers.Wait()
	})
}

func chanRecvClosed() {
	c := make(chan struct{}, n)
	for range n {
		c <- struct{}{}
	}
	close(c)
	by(1, func(times int) {
		for range times {
			<-c
		}
	})
}

func chanCreation() {
	by(procs, func(times int) {
		for range times {
			c := make(chan int, 1)
			c <- 0
			<-c
		}
	})
}

func chanSem() {
	c := make(chan struct{}, procs)
	by(procs, func(times int) {
		for range times {
			c <- struct{}{}
			<-c
		}
	})
}

func chanPopular() {
	const popular = 1000
	c := make(chan bool)
	var own []chan bool
	var group sync.WaitGroup
	group.Add(popular)
	for range popular {
		d := make(chan bool)
		own = append(own, d)
		go func() {
			for range n {
				select {
				case <-c:
				case <-d:
				}
			}
			group.Done()
		}()
	}
	start()
	for range n {
		for _, d := range own {
			d <- true
		}
	}
	group.Wait()
	reportEach(n * popular)
}

func chanClosed() {
	c := make(chan struct{})
	close(c)
	by(procs, func(times int) {
		for range times {
			select {
			case <-c:
			default:
				os.Exit(1)
			}
		}
	})
}

// ---- sync ----

func mutexBy(gs int, working bool) {
	var mu sync.Mutex
	by(gs, func(times int) {
		for range times {
			mu.Lock()
			mu.Unlock()
			if working {
				work(100)
			}
		}
	})
}

func touch(data []uint64) {
	for k := 0; k < len(data); k += 4 {
		data[k]++
	}
}

func mutexNoSpin() {
	var mu sync.Mutex
	var acc0, acc1 uint64
	by(4*procs, func(times int) {
		c := make(chan bool)
		data := make([]uint64, 4<<10)
		for i := range times {
			if i%4 == 0 {
				mu.Lock()
				acc0 -= 100
				acc1 += 100
				mu.Unlock()
			} else {
				touch(data)
				go func() { c <- true }()
				<-c
			}
		}
	})
}

func mutexSpin() {
	var mu sync.Mutex
	var acc0, acc1 uint64
	by(procs, func(times int) {
		data := make([]uint64, 16<<10)
		for range times {
			mu.Lock()
			acc0 -= 100
			acc1 += 100
			mu.Unlock()
			touch(data)
		}
	})
}

func rwmutexUncontended() {
	by(procs, func(times int) {
		var padded struct {
			sync.RWMutex
			_ [32]uint32
		}
		for range times {
			padded.RLock()
			padded.RLock()
			padded.RUnlock()
			padded.RUnlock()
			padded.Lock()
			padded.Unlock()
		}
	})
}

func rwmutexWrite(working bool) {
	var rw sync.RWMutex
	by(procs, func(times int) {
		for i := 1; i <= times; i++ {
			if i%m == 0 {
				rw.Lock()
				rw.Unlock()
			} else {
				rw.RLock()
				if working {
					work(100)
				}
				rw.RUnlock()
			}
		}
	})
}

func semaHammer() {
	s := uint32(1)
	by(m, func(times int) {
		for range times {
			semacquire(&s)
			semrelease(&s, false, 0)
		}
	})
}

func semaCollision() {
	const stride, collisions = 251 * 8 / 4, 20
	words := make([]uint32, m*stride)
	var waiting atomic.Int64
	var lastRound atomic.Bool
	var group sync.WaitGroup
	group.Add(n)
	for i := range n {
		go func() {
			for over := false; !over; over = lastRound.Load() {
				waiting.Add(1)
				semacquire(&words[i%m*stride])
			}
			group.Done()
		}()
	}
	for k := range collisions + 1 {
		for waiting.Load() < int64(n) {
			runtime.Gosched()
		}
		if k == 0 {
			start()
		}
		if k == collisions {
			lastRound.Store(true)
		}
		waiting.Store(0)
		for i := range n {
			semrelease(&words[i%m*stride], false, 0)
		}
	}
	group.Wait()
	reportEach(n * (collisions + 1))
}

func condRounds() {
	c := sync.NewCond(&sync.Mutex{})
	at := 0
	var group sync.WaitGroup
	group.Add(m + 1)
	start()
	for range m + 1 {
		go func() {
			for range n {
				c.L.Lock()
				if at == -1 {
					c.L.Unlock()
					break
				}
				if at++; at == m+1 {
					at = 0
					c.Broadcast()
				} else {
					c.Wait()
				}
				c.L.Unlock()
			}
			c.L.Lock()
			at = -1
			c.Broadcast()
			c.L.Unlock()
			group.Done()
		}()
	}
	group.Wait()
	reportEach(n)
}

func waitgroupUncontended() {
	by(procs, func(times int) {
		var padded struct {
			sync.WaitGroup
			_ [128]uint8
		}
		for range times {
			padded.Add(1)
			padded.Done()
			padded.Wait()
		}
	})
}

func waitgroupAddDone() {
	var wg sync.WaitGroup
	by(procs, func(times int) {
		for range times {
			wg.Add(1)
			wg.Done()
		}
	})
}

func waitgroupWait() {
	var wg sync.WaitGroup
	by(procs, func(times int) {
		for range times {
			wg.Wait()
		}
	})
}

func waitgroupActuallyWait() {
	by(procs, func(times int) {
		for range times {
			var wg sync.WaitGroup
			wg.Add(1)
			go func() { wg.Done() }()
			wg.Wait()
		}
	})
}

// ---- time ----

// beside runs body beside m - 1 timers that do not fire
func beside(body func(times int)) {
	for range m - 1 {
		time.AfterFunc(time.Hour, func() {})
	}
	by(procs, body)
}

func afterFuncChain() {
	beside(func(times int) {
		for i := 0; i < times; i += 1000 {
			left := 1000
			over := make(chan bool)
			var f func()
			f = func() {
				left--
				if left >= 0 {
					time.AfterFunc(0, f)
				} else {
					over <- true
				}
			}
			time.AfterFunc(0, f)
			<-over
		}
	})
}

func afterFuncAtOnce() {
	beside(func(times int) {
		for i := 0; i < times; i += 1000 {
			var wg sync.WaitGroup
			wg.Add(1000)
			for range 1000 {
				time.AfterFunc(0, wg.Done)
			}
			wg.Wait()
		}
	})
}

func timerAfter() {
	beside(func(times int) {
		for range times {
			<-time.After(1)
		}
	})
}

func timerStopChan() {
	beside(func(times int) {
		for range times {
			time.NewTimer(time.Second).Stop()
		}
	})
}

func timerStartStop1000() {
	beside(func(times int) {
		t := make([]*time.Timer, 1000)
		for i := 0; i < times; i += 1000 {
			for k := range t {
				t[k] = time.AfterFunc(time.Hour, nil)
			}
			for k := range t {
				t[k].Stop()
			}
		}
	})
}

func timerResetChan() {
	beside(func(times int) {
		t := time.NewTimer(time.Hour)
		for range times {
			t.Reset(time.Hour)
		}
	})
}

func sleep1000() {
	beside(func(times int) {
		for i := 0; i < times; i += 1000 {
			var wg sync.WaitGroup
			wg.Add(1000)
			for range 1000 {
				go func() {
					time.Sleep(1)
					wg.Done()
				}()
			}
			wg.Wait()
		}
	})
}

func tickerStartStop() {
	beside(func(times int) {
		for range times {
			t := time.NewTicker(time.Hour)
			t.Reset(2 * time.Hour)
			t.Stop()
		}
	})
}

func init() {
	for name, body := range map[string]func(){
		"select_nonblock":         selectNonblock,
		"select_sync_contended":   selectSyncContended,
		"select_async_contended":  selectAsyncContended,
		"select_prod_cons":        selectProdCons,
		"chan_contended":          chanContended,
		"chan_sync":               chanSync,
		"chan_prod_cons_work":     chanProdConsWork,
		"chan_recv_closed":        chanRecvClosed,
		"chan_creation":           chanCreation,
		"chan_sem":                chanSem,
		"chan_popular":            chanPopular,
		"chan_closed":             chanClosed,
		"mutex_parallel":          func() { mutexBy(procs, false) },
		"mutex_slack":             func() { mutexBy(10*procs, false) },
		"mutex_work":              func() { mutexBy(procs, true) },
		"mutex_work_slack":        func() { mutexBy(10*procs, true) },
		"mutex_no_spin":           mutexNoSpin,
		"mutex_spin":              mutexSpin,
		"rwmutex_uncontended":     rwmutexUncontended,
		"rwmutex_write":           func() { rwmutexWrite(false) },
		"rwmutex_work_write":      func() { rwmutexWrite(true) },
		"sema_hammer":             semaHammer,
		"sema_collision":          semaCollision,
		"cond_rounds":             condRounds,
		"waitgroup_uncontended":   waitgroupUncontended,
		"waitgroup_add_done":      waitgroupAddDone,
		"waitgroup_wait":          waitgroupWait,
		"waitgroup_actually_wait": waitgroupActuallyWait,
		"after_func_chain":        afterFuncChain,
		"after_func_at_once":      afterFuncAtOnce,
		"timer_after":             timerAfter,
		"timer_stop_chan":         timerStopChan,
		"timer_start_stop_1000":   timerStartStop1000,
		"timer_reset_chan":        timerResetChan,
		"sleep_1000":              sleep1000,
		"ticker_start_stop":       tickerStartStop,
	} {
		cases[name] = body
	}
}
