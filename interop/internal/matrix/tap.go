package matrix

import (
	"net"
)

// A tap writes down what goes over the connections of a case.
type tap struct{}

func newTap() *tap { return new(tap) }

func (p *tap) text() string { return "" }

// Listener returns l, whose connections are listened in on if a transcript is wanted.
func (t *T) Listener(l net.Listener) net.Listener { return l }

// Conn returns nc, which is listened in on if a transcript is wanted.
func (t *T) Conn(nc net.Conn) net.Conn { return nc }
