package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Whatever blocks come after each other, the client decodes what was meant.
func TestEncode(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	lists := [][]hpack.HeaderField{
		{{Name: ":status", Value: "200"}},
		{{Name: ":status", Value: "200"}, {Name: "date", Value: "today"}},
		{{Name: ":status", Value: "200"}, {Name: "date", Value: "today"}, {Name: "x-a", Value: "1"}, {Name: "x-a", Value: "1"}},
		{{Name: ":status", Value: "404"}, {Name: "x-long", Value: string(make([]byte, 3000))}},
		{{Name: ":status", Value: "218"}},
		{{Name: ":status", Value: "204"}, {Name: "date", Value: "today"}},
	}
	for i := range 150 { // so that indices take two octets, and entries are evicted
		lists = append(lists, []hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: fmt.Sprint("x-", i), Value: "v"}})
	}
	o := writer{limit: 8192, table: 4096}
	dec := hpack.NewDecoder(4096, nil)
	dec.SetAllowedMaxDynamicTableSize(8192)
	repeated := 0
	for i := range 20000 {
		want := lists[r.IntN(6)]
		switch n := r.IntN(20); {
		case n < 2:
			want = lists[r.IntN(len(lists))]
		case n == 2:
			o.setTableSize(uint32(r.IntN(5) * 2048))
		case n == 3:
			o.forget()
		}
		o.begin()
		for _, f := range want {
			o.field(f.Name, f.Value)
		}
		if len(o.repeated) > 0 && cmp.Equal(o.repeated, want) {
			repeated++
		}
		o.buf = o.buf[:0]
		o.finish(1, true, 1<<14)
		got, err := dec.DecodeFull(o.buf[headerLen:])
		if err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		if len(got) != len(want) || len(got) > 0 && !cmp.Equal(got, want) {
			t.Fatalf("block %d: %v, want %v", i, got, want)
		}
		if f := parseHeader(o.buf); f.kind != http2.FrameHeaders || f.length != len(o.buf)-headerLen {
			t.Fatalf("block %d: %+v", i, f)
		}
	}
	if repeated < 1000 {
		t.Errorf("%d blocks were sent again", repeated)
	}
}

// A client that takes DATA quickly gets more of it at once, and a slow one less.
func TestAdapt(t *testing.T) {
	o := &writer{direct: firstDirect}
	for _, step := range []struct {
		n    int64
		took time.Duration
		want int64
	}{
		{firstDirect, 0, 2 * firstDirect},
		{firstDirect, 0, 2 * firstDirect}, // not all that it might have been
		{2 * firstDirect, quickWrite, 2 * firstDirect},
		{2 * firstDirect, slowWrite, 2 * firstDirect},
		{2 * firstDirect, quickWrite - 1, maxDirect},
		{maxDirect, 0, maxDirect},
		{16 << 10, time.Second, maxDirect / 2},
	} {
		o.adapt(step.n, step.took)
		if o.direct != step.want {
			t.Errorf("after %d octets in %v: %d at once, want %d", step.n, step.took, o.direct, step.want)
		}
	}
	for range 10 {
		o.adapt(o.direct, time.Minute)
	}
	if o.direct != minDirect {
		t.Errorf("after many slow writes: %d at once", o.direct)
	}
}
