// Package interop proves the library against real peers.
package interop
