// gocallback: the cases of ../../../gmxbench.c that have a foreign thread, by cgo. It cannot be part of gobench: a
// package with cgo may have no Go assembly.
//
//	gocallback CASE PROCS N
package main

/*
#include <pthread.h>
#include <stdint.h>
#include <time.h>

extern void goNothing(void);

static int64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

struct calls {
	long n;
	int64_t ns;
};

static void *known_thread(void *arg) {
	struct calls *c = arg;
	goNothing();
	int64_t begin = now();
	for (long i = 0; i < c->n; i++) goNothing();
	c->ns = now() - begin;
	return NULL;
}

static void *fresh_thread(void *arg) {
	struct calls *c = arg;
	int64_t begin = now();
	if (c->n) goNothing();
	c->ns = now() - begin;
	return NULL;
}

static int64_t on_thread(void *(*fn)(void *), struct calls *c) {
	pthread_t thread;
	int64_t begin = now();
	if (pthread_create(&thread, NULL, fn, c) != 0) return -1;
	pthread_join(thread, NULL);
	return now() - begin;
}

static int64_t known(long n) {
	struct calls c = {n, 0};
	on_thread(known_thread, &c);
	return c.ns;
}

static int64_t fresh(long calls, int64_t *whole) {
	struct calls c = {calls, 0};
	*whole += on_thread(fresh_thread, &c);
	return c.ns;
}
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
)

//export goNothing
func goNothing() {}

func main() {
	if len(os.Args) < 4 {
		os.Exit(2)
	}
	procs, _ := strconv.Atoi(os.Args[2])
	n, _ := strconv.Atoi(os.Args[3])
	runtime.GOMAXPROCS(procs)
	switch os.Args[1] {
	case "callback_known_thread":
		fmt.Printf("ns=%.2f\n", float64(C.known(C.long(n)))/float64(n))
	case "callback_first":
		ns := make([]int64, n)
		var with, without C.int64_t
		for i := range ns {
			C.fresh(0, &without)
			ns[i] = int64(C.fresh(1, &with))
		}
		slices.Sort(ns)
		fmt.Printf("thread_ns=%d ns=%d p99_ns=%d\n", int(with-without)/n, ns[n/2], ns[n*99/100])
	default:
		os.Exit(2)
	}
}
