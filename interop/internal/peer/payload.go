package peer

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"sync"
)

// MaxPayload is as much as Payload can give.
const MaxPayload = 64 << 20

var payload = sync.OnceValue(func() []byte {
	b := make([]byte, MaxPayload)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
})

// Payload returns the n octets that every body of that length consists of, in requests and
// in responses. They do not repeat, so what is lost, doubled or moved shows.
func Payload(n int) []byte { return payload()[:n:n] }

// Digest returns the SHA-256 of b in hexadecimal digits, as in Output.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Sizes of the files that servers serve, at /bytes/SIZE.
const (
	Tiny   = 6
	KiB    = 1 << 10
	MiB    = 1 << 20
	Larger = 3_000_000
	Huge   = 16 << 20
)

// Served are the sizes of the files in {www}.
var Served = []int{Tiny, KiB, MiB, Larger, Huge}
