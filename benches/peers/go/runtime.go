package main

import "unsafe"

// The paths that Go keeps to itself, so that like is compared with like. Needs go build -ldflags=-checklinkname=0.

//go:linkname entersyscall runtime.entersyscall
func entersyscall()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

//go:linkname semacquire sync.runtime_Semacquire
func semacquire(s *uint32)

//go:linkname semrelease sync.runtime_Semrelease
func semrelease(s *uint32, handoff bool, skipframes int)

//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

// Laid out as runtime.worldStop.
type worldStop struct {
	reason                                             uint8
	startedStopping, finishedStopping, stoppingCPUTime int64
}

//go:linkname stopTheWorld runtime.stopTheWorld
func stopTheWorld(reason uint8) worldStop

//go:linkname startTheWorld runtime.startTheWorld
func startTheWorld(w worldStop)

//go:linkname worldsema runtime.worldsema
var worldsema uint32

//go:linkname runtimeForEachP runtime.forEachP
func runtimeForEachP(reason uint8, fn func(unsafe.Pointer))

// runtime.waitReasonGarbageCollection; forEachP takes only a few of the reasons.
const waitReason = 4

// Go's forEachP wants its caller to hold worldsema; gmx_for_each_p takes it itself.
func forEachP(fn func(unsafe.Pointer)) {
	semacquire(&worldsema)
	runtimeForEachP(waitReason, fn)
	semrelease(&worldsema, false, 0)
}

//go:nosplit
func syscallBracket() {
	entersyscall()
	exitsyscall()
}
