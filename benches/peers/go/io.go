package main

// The cases of ../../io.c.

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	small    = 32
	message  = 64
	block    = 4096
	fileSize = 64 << 20
	later    = 10 * time.Second
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func mustDo(err error) {
	if err != nil {
		panic(err)
	}
}

type end struct {
	in, out *os.File
	timeout time.Duration
}

func (e end) read(text []byte) int {
	if e.timeout != 0 {
		mustDo(e.in.SetReadDeadline(time.Now().Add(e.timeout)))
	}
	return must(e.in.Read(text))
}

func (e end) write(text []byte) {
	if e.timeout != 0 {
		mustDo(e.out.SetWriteDeadline(time.Now().Add(e.timeout)))
	}
	must(e.out.Write(text))
}

func thereAndBack(here, there end) {
	go func() {
		text := make([]byte, small)
		for {
			there.read(text)
			there.write(text)
		}
	}()
	text := make([]byte, small)
	start()
	for range n {
		here.write(text)
		here.read(text)
	}
	reportEach(n)
}

func pipePingpong() {
	toR, toW, err := os.Pipe()
	mustDo(err)
	backR, backW, err := os.Pipe()
	mustDo(err)
	thereAndBack(end{backR, toW, 0}, end{toR, backW, 0})
}

func unixEnds() (*os.File, *os.File) {
	fd := must(syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0))
	return os.NewFile(uintptr(fd[0]), "a"), os.NewFile(uintptr(fd[1]), "b")
}

func unixPingpong(timeout time.Duration) {
	a, b := unixEnds()
	thereAndBack(end{a, a, timeout}, end{b, b, timeout})
}

func setDeadline() {
	a, _ := unixEnds()
	start()
	for range n {
		mustDo(a.SetReadDeadline(time.Now().Add(later)))
	}
	reportEach(n)
}

func sharedBy(body func()) {
	var group sync.WaitGroup
	start()
	for range m {
		group.Go(func() {
			for range n / m {
				body()
			}
		})
	}
	group.Wait()
	reportEach(n / m * m)
}

func connectEchoClose() {
	l := must(net.Listen("tcp4", "127.0.0.1:0"))
	go func() {
		for {
			c := must(l.Accept())
			go func() {
				text := make([]byte, small)
				for {
					got, err := c.Read(text)
					if err != nil || got == 0 {
						break
					}
					must(c.Write(text))
				}
				c.Close()
			}()
		}
	}()
	sharedBy(func() {
		text := make([]byte, small)
		c := must(net.Dial("tcp4", l.Addr().String()))
		mustDo(c.(*net.TCPConn).SetLinger(0))
		must(c.Write(text))
		must(c.Read(text))
		mustDo(c.Close())
	})
}

func udpPingpong() {
	here := must(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	there := must(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	go func() {
		text := make([]byte, message)
		for {
			_, from, err := there.ReadFromUDPAddrPort(text)
			mustDo(err)
			must(there.WriteToUDPAddrPort(text, from))
		}
	}()
	text, at := make([]byte, message), there.LocalAddr().(*net.UDPAddr).AddrPort()
	start()
	for range n {
		must(here.WriteToUDPAddrPort(text, at))
		_, _, err := here.ReadFromUDPAddrPort(text)
		mustDo(err)
	}
	reportEach(n)
}

func fileOf(bytes int) *os.File {
	f := must(os.CreateTemp("", "gobench"))
	mustDo(os.Remove(f.Name()))
	mib := make([]byte, 1<<20)
	for range bytes >> 20 {
		must(f.Write(mib))
	}
	return f
}

func preadCached() {
	f, text, at := fileOf(fileSize), make([]byte, block), uint32(1)
	start()
	for range n {
		at = at*1664525 + 1013904223
		must(f.ReadAt(text, int64(at%(fileSize/block))*block))
	}
	reportEach(n)
}

func fileToSocket() {
	f := fileOf(1 << 20)
	l := must(net.Listen("tcp4", "127.0.0.1:0"))
	go func() {
		c, text := must(l.Accept()), make([]byte, 1<<18)
		for {
			must(c.Read(text))
		}
	}()
	c := must(net.Dial("tcp4", l.Addr().String()))
	start()
	for range n {
		must(f.Seek(0, io.SeekStart))
		must(io.Copy(c, f))
	}
	reportEach(n)
}

func spawnTrue() {
	sharedBy(func() { mustDo(exec.Command("/bin/true").Run()) })
}

func lookUpLocalhost() {
	sharedBy(func() { must(net.DefaultResolver.LookupIPAddr(context.Background(), "localhost")) })
}

func init() {
	for name, body := range map[string]func(){
		"pipe_pingpong":         pipePingpong,
		"unix_pingpong":         func() { unixPingpong(0) },
		"unix_pingpong_timeout": func() { unixPingpong(later) },
		"set_deadline":          setDeadline,
		"connect_echo_close":    connectEchoClose,
		"udp_pingpong":          udpPingpong,
		"pread_cached":          preadCached,
		"file_to_socket":        fileToSocket,
		"spawn_true":            spawnTrue,
		"look_up_localhost":     lookUpLocalhost,
	} {
		cases[name] = body
	}
}
