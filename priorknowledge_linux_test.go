package h2c_test

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// A client that ends in its preface is through at once.
func TestPriorKnowledge_P02_prefaceEnds(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		_, addr := serveTCP(t, role, text("x"))
		start := time.Now()
		for n := 1; n < len(http2.ClientPreface); n++ {
			c := dialTCP(t, addr)
			io.WriteString(c.nc, http2.ClientPreface[:n])
			c.nc.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c.nc)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
