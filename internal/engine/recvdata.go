package engine

import "golang.org/x/net/http2"

// A payload is what is still to be read of a DATA frame.
type payload struct {
	open  bool
	body  *requestBody // that it is of; nil if it is dropped
	n     int          // octets for the body
	pad   int          // octets behind them
	extra int          // octets of padding, with its length
	end   bool         // of the body
	wrong error        // with the frame
}

// recvData begins to take a part of a body.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.1
func (c *conn) recvData(f frameHeader) error {
	if f.stream == 0 || c.idle(f.stream) {
		return connError{http2.ErrCodeProtocol, "data_idle"}
	}
	pad, err := c.padding(f, http2.FlagDataPadded)
	if err != nil {
		return err
	}
	n := pad.rest - pad.length
	if n < 0 {
		return connError{http2.ErrCodeProtocol, "data_padding"}
	}
	end := f.flags.Has(http2.FlagDataEndStream)
	if n == 0 && !end {
		if err := c.flood.add(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	// Padding counts, too: https://www.rfc-editor.org/rfc/rfc9113.html#section-6.1-10
	fits := c.useWindow(f.length)
	st := c.streams[f.stream]
	ended := st != nil && st.remoteEnded
	failed := st != nil && st.err != nil
	c.mu.Unlock()
	if !fits {
		return connError{http2.ErrCodeFlowControl, "window_exceeded"}
	}
	var wrong error
	switch {
	case st == nil && !c.wasReset(f.stream), ended:
		// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.1-10
		wrong = streamError{f.stream, http2.ErrCodeStreamClosed, "data_closed"}
	case st == nil || failed:
	case st.declared >= 0 && (st.got+int64(n) > st.declared || end && st.got+int64(n) < st.declared):
		wrong = streamError{f.stream, http2.ErrCodeProtocol, "content_length_body"}
	case !st.body.use(f.length):
		wrong = streamError{f.stream, http2.ErrCodeFlowControl, "stream_window_exceeded"}
	default:
		st.got += int64(n)
		c.data = payload{open: true, body: st.body, n: n, pad: pad.length, extra: f.length - n, end: end}
		return nil
	}
	c.credit(f.length)
	c.data = payload{open: true, pad: pad.rest, wrong: wrong}
	return nil
}

// takeData takes what is still to be read of a DATA frame.
func (c *conn) takeData() error {
	d := &c.data
	for d.n > 0 {
		b, err := c.in.part(d.n)
		if err != nil {
			return err
		}
		d.body.write(b, d.n)
		d.n -= len(b)
	}
	if err := c.discard(d.pad); err != nil {
		return err
	}
	return c.endData()
}

// endData ends a DATA frame, of which all has been read.
func (c *conn) endData() error {
	d := c.data
	c.data = payload{}
	switch {
	case d.body == nil:
		return d.wrong
	case d.extra > 0:
		d.body.skip(d.extra)
	}
	if d.end {
		return d.body.st.endOfBody(nil)
	}
	return nil
}
