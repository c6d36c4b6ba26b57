//go:build !linux || !(amd64 || arm64) || race || msan || asan

package engine

import "net"

type rawVectors struct{}

// writeVectors writes the vectors.
func (o *writer) writeVectors(nc net.Conn, v *vectors) (n int64, err error) {
	return v.rest.WriteTo(nc)
}
