// The server of the echo benchmarks in Go, with GOMAXPROCS Ps: as ../../../net/echo.c.
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
)

func echoes(conn net.Conn) {
	defer conn.Close()
	text := make([]byte, 4096)
	for {
		n, err := conn.Read(text)
		if err != nil {
			return
		}
		if _, err := conn.Write(text[:n]); err != nil {
			return
		}
	}
}

func main() {
	if len(os.Args) == 3 {
		n, _ := strconv.Atoi(os.Args[2])
		for i := 0; i < n; i++ {
			if os.Args[1] == "yields" {
				go func() {
					for {
						runtime.Gosched()
					}
				}()
			} else {
				go func() {
					for {
					}
				}()
			}
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go echoes(conn)
	}
}
