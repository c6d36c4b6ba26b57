//go:build unix

package engine

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"
)

// Slices of all sizes leave a socket whole and in their order, however little of them it takes at once.
func TestWriteVectors(t *testing.T) {
	for name, sizes := range map[string][]int{
		"frames":   slices.Repeat([]int{headerLen, minMaxFrame}, (maxVectors-1)/2),
		"octets":   slices.Repeat([]int{1}, maxVectors),
		"one":      {maxDirect},
		"uneven":   {1, 256<<10 - 1, 1, 256 << 10, 256<<10 + 1, 3},
		"past 256": {headerLen, 300 << 10, headerLen, 300 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			to, from := tcpPair(t)
			to.(*net.TCPConn).SetWriteBuffer(16 << 10)
			from.(*net.TCPConn).SetReadBuffer(16 << 10)
			v := new(vectors)
			var want []byte
			for i, n := range sizes {
				b := bytes.Repeat([]byte{byte(i)}, n)
				if n > 1 {
					b[n-1] = 0xff
				}
				want = append(want, b...)
				v.rest = append(v.rest, b)
			}
			got := make(chan []byte)
			go func() {
				b, _ := io.ReadAll(from)
				got <- b
			}()
			o := &writer{nc: to}
			n, err := o.writeVectors(to, v)
			if err != nil || n != int64(len(want)) {
				t.Errorf("%d, %v, want %d", n, err, len(want))
			}
			to.Close()
			if b := <-got; !bytes.Equal(b, want) {
				t.Errorf("%d octets came, not the same as the %d", len(b), len(want))
			}
			if v.raw != (rawVectors{}) {
				t.Error("they are still referred to")
			}
		})
	}
}

// A write of vectors that the socket refuses is not taken for done.
func TestWriteVectorsError(t *testing.T) {
	to, _ := tcpPair(t)
	if err := to.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	o := &writer{nc: to}
	n, err := o.writeVectors(to, &vectors{rest: net.Buffers{[]byte("x")}})
	if n != 0 || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("%d, %v, want %v", n, err, syscall.EPIPE)
	}
	to.Close()
	if _, err := o.writeVectors(to, &vectors{rest: net.Buffers{[]byte("x")}}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want %v", err, net.ErrClosed)
	}
}
