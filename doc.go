// Package h2c speaks HTTP/2 over cleartext connections.
package h2c
