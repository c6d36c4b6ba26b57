package engine

// inWindow is the connection window, in octets.
func (c *conn) inWindow() int64 { return max(int64(c.lim.connWindow), initialWindow) }

// credit gives n octets of the connection window back to the client, and of the window of st if
// that is not nil.
func (c *conn) credit(st *stream, n int) {
	if n == 0 {
		return
	}
	c.mu.Lock()
	if st != nil && st.err == nil && !st.remoteEnded {
		st.body.giveBack(n)
		c.out.buf = appendWindowUpdate(c.out.buf, st.id, uint32(n))
	}
	c.creditConn(n)
	c.flushLater()
}

// creditRead gives back n octets of the connection window and m of the one of st.
func (c *conn) creditRead(st *stream, n, m int) {
	c.mu.Lock()
	if m > 0 && st.err == nil && !st.remoteEnded {
		c.out.buf = appendWindowUpdate(c.out.buf, st.id, uint32(m))
	}
	c.creditConn(n)
	c.flush()
}

// creditConn gives n octets of the connection window back, with those before, when it is worth
// a frame. mu is held.
func (c *conn) creditConn(n int) {
	c.owed += int64(n)
	if c.owed < c.inWindow()/4 || c.err != nil {
		return
	}
	c.used -= c.owed
	c.out.buf = appendWindowUpdate(c.out.buf, 0, uint32(c.owed))
	c.owed = 0
}

// useWindow notes that the client has used n octets of the connection window. It reports whether
// it had them.
func (c *conn) useWindow(n int) bool {
	c.used += int64(n)
	return c.used <= c.inWindow()
}
