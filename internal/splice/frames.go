package splice

// frames cuts what an engine writes into frames, in any split, and drops some of them.
type frames struct {
	inspect func(frameHeader) int // how much of its payload judge needs to see
	judge   func(header frameHeader, payload []byte) (pass bool)
	settled func() bool // whatever comes passes

	head []byte // of a frame, until it can be judged
	rest int    // octets of the frame that are still to come after that
	drop bool   // and are dropped
}

// atBoundary reports whether no frame is incomplete.
func (f *frames) atBoundary() bool { return f.rest == 0 && len(f.head) == 0 }

// filter appends to dst what passes of p. judge may change the payload that it sees.
func (f *frames) filter(dst, p []byte) []byte {
	for len(p) > 0 && !(f.atBoundary() && f.settled()) {
		if f.rest > 0 {
			n := min(f.rest, len(p))
			if !f.drop {
				dst = append(dst, p[:n]...)
			}
			f.rest -= n
			p = p[n:]
			continue
		}
		n := min(f.wanted(), len(p))
		f.head = append(f.head, p[:n]...)
		p = p[n:]
		if f.wanted() > 0 {
			continue
		}
		header, payload := frameHeader(f.head[:frameHeaderLen]), f.head[frameHeaderLen:]
		f.drop = !f.judge(header, payload)
		f.rest = header.length() - len(payload)
		if !f.drop {
			dst = append(dst, f.head...)
		}
		f.head = f.head[:0]
	}
	return append(dst, p...)
}

// wanted returns how many octets are missing in head until the frame can be judged.
func (f *frames) wanted() int {
	if len(f.head) < frameHeaderLen {
		return frameHeaderLen - len(f.head)
	}
	header := frameHeader(f.head)
	return frameHeaderLen + min(f.inspect(header), header.length()) - len(f.head)
}
