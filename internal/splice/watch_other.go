//go:build !unix

package splice

import "net"

// WatchPreface reports that it cannot see the octets of nc without consuming them.
func WatchPreface(net.Conn, func()) bool { return false }
