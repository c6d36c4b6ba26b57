package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
)

// A head is the head of a response, interim or not.
type head struct {
	status string
	header http.Header
}

// write writes the head, with the fields in order.
func (h head) write(w io.Writer, proto string) error {
	b := fmt.Appendf(nil, "%s %s\n", proto, h.status)
	for _, name := range slices.Sorted(maps.Keys(h.header)) {
		for _, value := range h.header[name] {
			b = fmt.Appendf(b, "%s: %s\n", name, value)
		}
	}
	_, err := w.Write(append(b, '\n'))
	return err
}

// receive writes the response to where it is to go.
func (f *fetch) receive(heads []head) (err error) {
	g := f.g
	size := max(f.resp.ContentLength, -1)
	if g.head {
		size = 0
	}
	var sum hash.Hash
	w := io.Writer(io.Discard)
	switch {
	case g.fail && f.resp.StatusCode >= 400:
		f.refused = true
		g.progress.settle(0)
		if !g.json {
			return nil
		}
	case f.file != "":
		file, err := os.Create(f.file)
		if err != nil {
			g.progress.settle(0)
			return err
		}
		defer func() {
			if closing := file.Close(); err == nil {
				err = closing
			}
		}()
		g.progress.settle(size)
		w = g.progress.writer(file)
	case !g.json:
		<-f.turn
		w = g.stdout
	}
	if (g.include || g.head) && !g.json && !f.refused {
		out := w
		if p, ok := w.(*progressWriter); ok {
			out = p.Writer // a head is not progress
		}
		for _, h := range heads {
			if err := h.write(out, f.resp.Proto); err != nil {
				return err
			}
		}
	}
	if g.json {
		sum = sha256.New()
		w = io.MultiWriter(w, sum)
	}
	f.bytes, err = io.Copy(w, f.resp.Body)
	if err == nil && sum != nil {
		f.sum = hex.EncodeToString(sum.Sum(nil))
	}
	return err
}
