package engine

// inWindow is the connection window, in octets.
func (c *conn) inWindow() int64 { return max(int64(c.lim.connWindow), initialWindow) }

// credit gives n octets of the connection window back to the client.
func (c *conn) credit(n int) {
	if n == 0 {
		return
	}
	c.mu.Lock()
	c.creditConn(n)
	c.flushLater()
}

// credit gives n octets of the connection window back to the client, and m of the one of st. mu of
// the connection is held, and flush follows.
func (st *stream) credit(n, m int) {
	c := st.c
	if m > 0 && st.err == nil && !st.remoteEnded {
		c.out.buf = appendWindowUpdate(c.out.buf, st.id, uint32(m))
	}
	c.creditConn(n)
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
