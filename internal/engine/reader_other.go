//go:build !unix

package engine

const canReadSockets = false

// readSocket is not called: sockets are read from like any connection.
func (in *reader) readSocket(uintptr) bool { return true }
