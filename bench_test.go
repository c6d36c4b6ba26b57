package h2c_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"

	"github.com/seed78dc1b7f/h2c"
	"golang.org/x/net/http2"
	//lint:ignore SA1019 It is the baseline that the benchmarks compare with.
	xnet "golang.org/x/net/http2/h2c"
)

// contenders are servers that take an upgrade, and net/http, which does not.
var contenders = []struct {
	name    string
	upgrade bool
	server  func(http.Handler) *http.Server
}{
	{"h2c", true, func(h http.Handler) *http.Server {
		hs := &http.Server{Handler: h}
		if err := h2c.ConfigureServer(hs, nil); err != nil {
			panic(err)
		}
		return hs
	}},
	{"h2c-handler", true, func(h http.Handler) *http.Server {
		return &http.Server{Handler: h2c.NewHandler(h, nil)}
	}},
	{"xnet", true, func(h http.Handler) *http.Server {
		//lint:ignore SA1019 as above
		return &http.Server{Handler: xnet.NewHandler(h, new(http2.Server))}
	}},
	{"nethttp", false, func(h http.Handler) *http.Server {
		hs := &http.Server{Handler: h, Protocols: new(http.Protocols)}
		hs.Protocols.SetUnencryptedHTTP2(true)
		return hs
	}},
}

var (
	benchHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	benchUpgrade = []byte(crlf("GET / HTTP/1.1\nHost: h\n"+offerFields+"\n") + benchPreface)
	benchDirect  = append([]byte(benchPreface), "\x00\x00\x05\x01\x05\x00\x00\x00\x01\x82\x84\x86\x41\x00"...)
)

const benchPreface = http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// exchangeOnce opens a connection and gets the response on stream 1.
func exchangeOnce(addr string, upgrade bool) (net.Conn, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	br := bufio.NewReaderSize(nc, 512)
	request := benchDirect
	if upgrade {
		request = benchUpgrade
	}
	if _, err := nc.Write(request); err != nil {
		return nc, err
	}
	if upgrade {
		for line := ""; line != "\r\n"; {
			if line, err = br.ReadString('\n'); err != nil {
				return nc, err
			}
		}
	}
	for {
		var header [9]byte
		if _, err := io.ReadFull(br, header[:]); err != nil {
			return nc, err
		}
		if _, err := br.Discard(int(binary.BigEndian.Uint32(header[:]) >> 8)); err != nil {
			return nc, err
		}
		if header[4]&1 != 0 && header[8] == 1 {
			return nc, nil
		}
	}
}

func listen(b testing.TB, hs *http.Server) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go hs.Serve(l)
	b.Cleanup(func() { hs.Close() })
	return l.Addr().String()
}

// BenchmarkExchange opens a connection, gets one response and closes it.
func BenchmarkExchange(b *testing.B) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			addr := listen(b, c.server(benchHandler))
			b.ReportAllocs()
			for b.Loop() {
				nc, err := exchangeOnce(addr, c.upgrade)
				if err != nil {
					b.Fatal(err)
				}
				nc.Close()
			}
		})
	}
}

// BenchmarkIdle reports what a connection holds that has had a response.
func BenchmarkIdle(b *testing.B) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			addr := listen(b, c.server(benchHandler))
			for b.Loop() {
				heap, stack, goroutines := idleFootprint(b, addr, c.upgrade)
				b.ReportMetric(heap, "heap-B/conn")
				b.ReportMetric(stack, "stack-B/conn")
				b.ReportMetric(goroutines, "goroutines/conn")
			}
		})
	}
}

// An idle connection that was upgraded takes no more memory than with x/net.
func TestIdleMemory_S05(t *testing.T) {
	memory := make(map[string]float64)
	for _, c := range contenders {
		if !c.upgrade {
			continue
		}
		heap, stack, _ := idleFootprint(t, listen(t, c.server(benchHandler)), c.upgrade)
		memory[c.name] = heap + stack
	}
	for _, name := range []string{"h2c", "h2c-handler"} {
		if got, most := memory[name], memory["xnet"]; got > most {
			t.Errorf("%s: %.0f octets for each connection, with x/net %.0f", name, got, most)
		}
	}
}

// idleFootprint returns what each of many connections adds that have had a response.
func idleFootprint(tb testing.TB, addr string, upgrade bool) (heap, stack, goroutines float64) {
	const conns = 500
	var open []net.Conn
	defer func() {
		for _, nc := range open {
			nc.Close()
		}
	}()
	dial := func() {
		nc, err := exchangeOnce(addr, upgrade)
		if err != nil {
			tb.Fatal(err)
		}
		open = append(open, nc)
	}
	dial() // what is made once
	heap0, stack0, goroutines0 := footprint()
	for range conns {
		dial()
	}
	heap1, stack1, goroutines1 := footprint()
	return float64(heap1-heap0) / conns, float64(stack1-stack0) / conns, float64(goroutines1-goroutines0) / conns
}

// footprint returns the memory in use when nothing is left to collect.
func footprint() (heap, stack, goroutines int64) {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.StackInuse), int64(runtime.NumGoroutine())
}

// BenchmarkClient sends requests on a connection that was upgraded, and on one that the
// client of net/http began by prior knowledge.
func BenchmarkClient(b *testing.B) {
	prior := &http.Transport{Protocols: new(http.Protocols)}
	prior.Protocols.SetUnencryptedHTTP2(true)
	for _, c := range []struct {
		name string
		rt   http.RoundTripper
	}{
		{"upgraded", new(h2c.Transport)},
		{"nethttp", prior},
	} {
		for _, size := range []int{5, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%d", c.name, size), func(b *testing.B) {
				body := make([]byte, size)
				hs := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(body) })}
				if err := h2c.ConfigureServer(hs, nil); err != nil {
					b.Fatal(err)
				}
				url := "http://" + listen(b, hs)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					req, err := http.NewRequest("GET", url, nil)
					if err != nil {
						b.Fatal(err)
					}
					resp, err := c.rt.RoundTrip(req)
					if err != nil || resp.ProtoMajor != 2 {
						b.Fatal(resp, err)
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		}
	}
}
