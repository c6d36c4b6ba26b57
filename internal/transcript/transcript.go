// Package transcript keeps exchanges between a peer and this library: the exact octets of
// both directions, and in place of times, what the peer had seen before it sent each part.
// So an exchange can be played again without the peer.
package transcript

import "github.com/seed78dc1b7f/h2c/internal/wiretap"

// A Transcript is what was recorded of one case with one peer.
type Transcript struct {
	Peer  string // with its version
	Role  Role   // of the peer
	Entry string // how HTTP/2 began
	Case  string
	Conns []Conn // in the order in which they began
}

// A Role is that of a peer.
type Role string

const (
	Client Role = "client"
	Server Role = "server"
)

// A Conn is a connection.
type Conn struct {
	Client string // its address
	Parts  []Part
}

// A Part is what one end sends before the other sends something that matters.
type Part struct {
	Client bool
	After  []Fact // of a part of the peer: about all that the library has sent by then
	Octets []byte // whole heads and frames, and any part of a body
	Closes bool   // then it closes the connection
}

// isPeer reports whether a part is the peer's.
func (t *Transcript) isPeer(p Part) bool { return p.Client == (t.Role == Client) }

// sides returns what both ends of a connection say in all.
func (c Conn) sides() (client, server *Side) {
	client, server = new(Side), new(Side)
	d := wiretap.New(func(e wiretap.Event) {
		if e.Client {
			client.Add(e)
		} else {
			server.Add(e)
		}
	})
	for _, p := range c.Parts {
		feed(d, p)
	}
	d.End()
	return client, server
}

func feed(d *wiretap.Decoder, p Part) {
	if p.Client {
		d.Client(p.Octets)
	} else {
		d.Server(p.Octets)
	}
}

// Said returns what the peer and what the library says on a connection.
func (t *Transcript) Said(c Conn) (peer, library *Side) {
	client, server := c.sides()
	if t.Role == Client {
		return client, server
	}
	return server, client
}
