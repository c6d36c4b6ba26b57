package clients

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

// maxBody is how much of a body Response.Body keeps.
const maxBody = 64 << 10

// A body takes the body of a response as it comes.
type body struct {
	onData func([]byte) // as in Request; may be nil
	giveUp func()       // nil, or gives the response up
	gaveUp bool

	beginning []byte
	size      int64
	hash      hash.Hash
}

// newBody returns the body of the response to r, which giveUp gives up.
func newBody(r Request, giveUp func()) *body {
	b := &body{onData: r.OnData, hash: sha256.New()}
	if r.Cancel {
		b.giveUp = giveUp
	}
	return b
}

func (b *body) Write(p []byte) (int, error) {
	if b.gaveUp || len(p) == 0 {
		return len(p), nil
	}
	b.beginning = append(b.beginning, p[:min(len(p), maxBody-len(b.beginning))]...)
	b.size += int64(len(p))
	b.hash.Write(p)
	if b.onData != nil {
		b.onData(p)
	}
	if b.giveUp != nil {
		b.gaveUp = true
		b.giveUp()
	}
	return len(p), nil
}

// tell tells r of the body.
func (b *body) tell(r *Response) {
	r.Body, r.Size, r.SHA256 = b.beginning, b.size, hex.EncodeToString(b.hash.Sum(nil))
	if b.gaveUp && r.Err == "" {
		r.Err = "given up"
	}
}
