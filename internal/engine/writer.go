package engine

import (
	"bytes"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// outSize is how much a connection collects before streams that have more wait, in octets.
const outSize = 32 << 10

// outCap leaves room for the frame headers, and for frames that are not DATA.
const outCap = outSize + 4<<10

var outPool = sync.Pool{New: func() any { return new([outCap]byte) }}

// A writer is what a connection has to write. The mu of the connection guards it.
type writer struct {
	nc      net.Conn
	timeout time.Duration // of each write; 0: none

	// Of whoever writes:
	raw     syscall.RawConn       // nil if nc is no socket, or not yet
	drain   func(fd uintptr) bool // writes what is pending, without waiting
	pending []byte
	failure error // of drain
	bounded bool  // boundUnsent was called

	buf     []byte        // to be written
	blocks  int           // octets of header blocks in it, for which there was room
	spare   []byte        // empty
	writing bool          // somebody is at it
	written chan struct{} // is closed when not, unless nil
	dead    bool          // it cannot be written to
	last    bool          // the connection is closed when buf is written
	due     bool          // buf holds what the goroutine that reads is to write when it has nothing to read

	direct int64 // octets of DATA that are written at once from where they are

	window     int64 // for DATA to the client
	earned     int64 // frames of the client that what was sent gives reason for: see countEarned
	lastStream uint32
	queue      []*stream // that have DATA to send and may not yet, in the order of their turn
	next       *stream   // whose turn it is to write, and has not begun

	enc       *hpack.Encoder
	encoded   bytes.Buffer
	fieldList []hpack.HeaderField // of the block that is being made
	repeated  []hpack.HeaderField // of the one that encoded holds, if it may be sent again
	table     uint32              // size of the dynamic table
	emptied   bool                // what the client has of it is not that of enc
	limit     uint32              // of it, whatever the client would allow
}

// maxRepeated is how many fields a block has at the most that is kept to be sent again.
const maxRepeated = 32

// maxKeptBlock is how much memory for header blocks a connection keeps, in octets.
const maxKeptBlock = 4 << 10

func (o *writer) init(c *conn) {
	o.nc, o.timeout = c.nc, c.lim.writeByteTimeout
	o.direct = firstDirect
	o.window = initialWindow
	o.limit = c.lim.encoderTable
	o.table = min(defaultTable, o.limit)
}

// ready makes room for a response.
func (o *writer) ready() {
	if o.buf == nil {
		o.buf = outPool.Get().(*[outCap]byte)[:0]
	}
}

// rest gives the buffers back.
func (o *writer) rest() {
	o.spare = giveBack(o.spare)
	if len(o.buf) == 0 {
		o.buf = giveBack(o.buf)
	}
}

func giveBack(b []byte) []byte {
	if cap(b) == outCap {
		outPool.Put((*[outCap]byte)(b[:outCap]))
	}
	return nil
}

func (o *writer) write(b []byte) error {
	if o.timeout <= 0 {
		if o.isSocket() {
			return o.writeRaw(b)
		}
		_, err := o.nc.Write(b)
		return err
	}
	// "The timeout begins when data is available to write, and is extended whenever any bytes
	// are written": https://pkg.go.dev/net/http#HTTP2Config
	for {
		o.nc.SetWriteDeadline(time.Now().Add(o.timeout))
		n, err := o.nc.Write(b)
		b = b[n:]
		if len(b) == 0 || n == 0 || err == nil {
			return err
		}
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
			return err
		}
	}
}

// settled returns what is written to in place of nc: behind a Filter, nil until that is settled.
func (o *writer) settled() net.Conn {
	if f, ok := o.nc.(Filter); ok {
		return f.SettledOut()
	}
	return o.nc
}

func (o *writer) isSocket() bool {
	if o.raw == nil {
		if o.raw = rawConn(o.settled()); o.raw != nil {
			o.drain = o.writeSocket
		}
	}
	return o.raw != nil
}

func (o *writer) writeRaw(b []byte) error {
	o.pending, o.failure = b, nil
	err := o.raw.Write(o.drain)
	if err == nil {
		err = o.failure
	}
	if f, ok := o.nc.(Filter); ok {
		f.CountWritten(len(b) - len(o.pending))
	}
	o.pending = nil
	return err
}

// setTableSize bounds the dynamic table of the encoder.
func (o *writer) setTableSize(n uint32) {
	if n != o.table {
		enc := o.encoder()
		o.table = n
		o.repeated = nil
		enc.SetMaxDynamicTableSize(n)
	}
}

func (o *writer) encoder() *hpack.Encoder {
	if o.enc == nil {
		o.enc = hpack.NewEncoder(&o.encoded)
		o.enc.SetMaxDynamicTableSizeLimit(o.limit)
		if o.emptied {
			// The client is told of both.
			// https://www.rfc-editor.org/rfc/rfc7541.html#section-4.2
			o.enc.SetMaxDynamicTableSize(0)
			o.enc.SetMaxDynamicTableSize(o.table)
		}
	}
	return o.enc
}

// begin begins a header block.
func (o *writer) begin() { o.fieldList = o.fieldList[:0] }

func (o *writer) field(name, value string) {
	o.fieldList = append(o.fieldList, hpack.HeaderField{Name: name, Value: value})
}

// encode encodes the fields. One response is often like the other, and is a list of indices,
// which leaves the dynamic table as it is: then the block is that of the last such list.
func (o *writer) encode() []byte {
	if len(o.repeated) > 0 && slices.Equal(o.fieldList, o.repeated) {
		return o.encoded.Bytes()
	}
	o.repeated = o.repeated[:0]
	o.encoded.Reset()
	enc := o.encoder()
	for _, f := range o.fieldList {
		enc.WriteField(f)
	}
	block := o.encoded.Bytes()
	if len(block) != len(o.fieldList) || len(block) > maxRepeated {
		return block
	}
	for _, b := range block {
		// https://www.rfc-editor.org/rfc/rfc7541.html#section-6.1
		if b <= 0x80 || b == 0xff {
			return block
		}
	}
	o.repeated = append(o.repeated, o.fieldList...)
	return block
}

// forget frees what only the next response would have use for, the dynamic table included.
func (o *writer) forget() {
	o.fieldList, o.repeated, o.encoded = nil, nil, bytes.Buffer{}
	o.emptied = o.emptied || o.enc != nil
	o.enc = nil
}

// finish appends the frames of the block.
func (o *writer) finish(stream uint32, end bool, maxFrame int) {
	block := o.encode()
	if len(o.buf) < outSize {
		o.blocks += len(block)
	}
	kind, flags := http2.FrameHeaders, http2.Flags(0)
	if end {
		flags = http2.FlagHeadersEndStream
	}
	for first := true; first || len(block) > 0; first = false {
		n := min(len(block), maxFrame)
		if n == len(block) {
			flags |= http2.FlagHeadersEndHeaders
		}
		o.buf = appendHeader(o.buf, n, kind, flags, stream)
		o.buf = append(o.buf, block[:n]...)
		block, kind, flags = block[n:], http2.FrameContinuation, 0
	}
	if o.encoded.Cap() > maxKeptBlock {
		o.encoded = bytes.Buffer{}
	}
	if cap(o.fieldList) > maxRepeated {
		o.fieldList = nil
	}
	clear(o.fieldList)
}

// wakeNext lets the next stream go on that has something to send and may: of those that are the
// most urgent the one that has waited longest. It reports whether there is one.
//
// https://www.rfc-editor.org/rfc/rfc9218.html#section-10
func (o *writer) wakeNext() bool {
	if len(o.buf) >= outSize || len(o.queue) == 0 {
		return false
	}
	o.queue = slices.DeleteFunc(o.queue, func(st *stream) bool { return !st.waiting })
	next := -1
	for i, st := range o.queue {
		may := st.forRoom || o.window > 0 && st.window > 0 && !(st.forTurn && (o.writing || o.next != nil))
		if may && (next < 0 || st.priority.urgency < o.queue[next].priority.urgency) {
			next = i
		}
	}
	if next < 0 {
		return false
	}
	st := o.queue[next]
	o.queue = slices.Delete(o.queue, next, next+1)
	if st.forTurn {
		o.next = st
	}
	st.rouse()
	return true
}

// busy reports whether what is in the buffer gets written without further ado: somebody is at it, or a
// stream is about to write, which begins with that.
func (o *writer) busy() bool { return o.writing || o.next != nil }

// wakeAll lets all streams go on, to find that they cannot.
func (o *writer) wakeAll() {
	for _, st := range o.queue {
		st.rouse()
	}
	o.queue = nil
}

// room waits until there is some for frames of st that are not DATA, and makes it. It returns why
// they cannot be sent. mu is held, but not meanwhile.
func (st *stream) room() error {
	c := st.c
	for {
		if err := st.ended(); err != nil {
			c.out.wakeNext() // in its place
			return err
		}
		if len(c.out.buf) < outSize {
			c.out.ready()
			return nil
		}
		if !c.out.busy() {
			c.flush()
			c.mu.Lock()
			continue
		}
		st.forRoom = true
		st.wait(false)
		st.forRoom = false
	}
}

// maxControlQueue is how many octets of frames may wait that do not wait for room themselves, such as
// RST_STREAM and WINDOW_UPDATE.
const maxControlQueue = 1 << 20

// flooded reports whether there are more: the client does not read, and has the server say something
// again and again.
func (o *writer) flooded() bool { return len(o.buf)-o.blocks > maxControlQueue }

// wait has st wait for its turn, before the others if first is set. mu is held, but not meanwhile.
func (st *stream) wait(first bool) {
	st.queue(first)
	st.c.mu.Unlock()
	st.c.takeOver()
	<-st.wake
	st.c.mu.Lock()
}

// queue notes that st waits. mu is held.
func (st *stream) queue(first bool) {
	if st.wake == nil {
		st.wake = make(chan struct{}, 1)
	}
	st.waiting = true
	o := &st.c.out
	if first {
		o.queue = slices.Insert(o.queue, 0, st)
	} else {
		o.queue = append(o.queue, st)
	}
}
