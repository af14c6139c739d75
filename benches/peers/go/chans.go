package main

import (
	"fmt"
	"os"
)

func chanPingpong(capacity int) {
	to, back := make(chan int, capacity), make(chan int, capacity)
	go func() {
		for range n {
			back <- <-to
		}
	}()
	start()
	for i := range n {
		to <- i
		<-back
	}
	reportEach(n)
}

func chanProdCons() {
	c, sum := make(chan int, m-1), 0
	start()
	go func() {
		for i := range n {
			c <- i
		}
		close(c)
	}()
	for v := range c {
		sum += v
	}
	reportEach(n)
	if sum != n*(n-1)/2 {
		fmt.Fprintln(os.Stderr, "gobench: wrong sum")
		os.Exit(1)
	}
}

func chanFanIn() {
	c := make(chan int)
	start()
	for range m {
		go func() {
			for i := range n / m {
				c <- i
			}
		}()
	}
	for range n / m * m {
		<-c
	}
	reportEach(n / m * m)
}

func chanTryRecv() {
	c := make(chan int)
	start()
	for range n {
		select {
		case <-c:
			os.Exit(1)
		default:
		}
	}
	reportEach(n)
}

func chanUncontended() {
	c := make(chan int, m)
	start()
	for range n / m {
		for i := range m {
			c <- i
		}
		for range m {
			<-c
		}
	}
	reportEach(n / m * m)
}

func chanSelectUncontended() {
	a, b := make(chan int, 1), make(chan int, 1)
	a <- 1
	start()
	for range n {
		select {
		case v := <-a:
			b <- v
		case v := <-b:
			a <- v
		}
	}
	reportEach(n)
}

func chanSelectDefault() {
	a, b := make(chan int, 1), make(chan int, 1)
	start()
	for range n {
		select {
		case <-a:
			os.Exit(1)
		case <-b:
			os.Exit(1)
		default:
		}
	}
	reportEach(n)
}

func chanSelectProdCons() {
	c, never := make(chan int, m-1), make(chan int)
	go func() {
		for i := range n {
			select {
			case c <- i:
			case <-never:
			}
		}
	}()
	start()
	for i := range n {
		select {
		case v := <-c:
			if v != i {
				os.Exit(1)
			}
		case <-never:
			os.Exit(1)
		}
	}
	reportEach(n)
}
