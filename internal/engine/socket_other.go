//go:build !unix

package engine

const hasSockets = false

// These are not called: sockets are read from and written to like any connection.

func (in *reader) readSocket(uintptr) bool { return true }
func (o *writer) writeSocket(uintptr) bool { return true }
