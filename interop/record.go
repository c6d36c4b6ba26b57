package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed78dc1b7f/h2c/internal/transcript"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
)

// transcriptsDir is where record writes, from the root of the repository.
const transcriptsDir = "testdata/transcripts"

// maxTranscript bounds the size of a file in it, in octets.
const maxTranscript = 64 << 10

// recordedCases are those that are recorded, of a group. What happens at once, or when time
// has passed, is not among them.
var recordedCases = map[string][]string{
	"clients": {
		"GET", "HEAD", "POST", "POST 64 KiB", "Expect", "three in a row", "after HTTP/1.1", "after declined",
		"no content", "trailers", "early hints", "OPTIONS *",
	},
	"servers": {
		"GET", "HEAD", "POST", "Expect", "offer with body", "after HTTP/1.1", "three in a row", "trailers",
		"early hints",
	},
}

// record runs those of the selected cells that are to be recorded, and writes a transcript
// of each part of each. If all cells are selected, all other transcripts are removed.
func record(ctx context.Context, selected []matrix.Cell, progress io.Writer) error {
	if err := os.MkdirAll(transcriptsDir, 0o755); err != nil {
		return err
	}
	var errs []error
	written := make(map[string]bool)
	for _, c := range selected {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !isRecorded(c) {
			continue
		}
		transcripts, err := recordCell(ctx, c)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.Name(), err))
			continue
		}
		for _, t := range transcripts {
			name := filepath.Join(transcriptsDir, fileName(t))
			text := t.Encode()
			if len(text) > maxTranscript {
				fmt.Fprintf(progress, "%s would be %d octets, and is left out\n", name, len(text))
				continue
			}
			if _, err := transcript.Parse(text); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
				continue
			}
			if err := os.WriteFile(name, text, 0o644); err != nil {
				return err
			}
			written[name] = true
		}
	}
	fmt.Fprintf(progress, "%d transcripts\n", len(written))
	if errs == nil && len(selected) == len(cells()) {
		errs = append(errs, removeOthers(written))
	}
	return errors.Join(errs...)
}

func removeOthers(written map[string]bool) error {
	names, err := filepath.Glob(filepath.Join(transcriptsDir, "*.txt"))
	for _, name := range names {
		if !written[name] {
			err = errors.Join(err, os.Remove(name))
		}
	}
	return err
}

func isRecorded(c matrix.Cell) bool {
	switch {
	case strings.HasPrefix(c.Peer, "h2c "): // ours
	case c.Peer == "Apache mpm_event": // it closes idle connections at once; mpm_worker is the same but for that
	default:
		return c.Cannot == "" && slices.Contains(recordedCases[c.Group], c.Case)
	}
	return false
}

// recordCell runs a cell until it gives examples to follow: a peer that closes a connection
// is now and then ahead of the last acknowledgement that it is owed.
func recordCell(ctx context.Context, c matrix.Cell) ([]*transcript.Transcript, error) {
	var last error
	for range 50 {
		r := c.Run(ctx, matrix.Options{Require: true, Record: true})
		switch r.Status {
		case matrix.Failed:
			return nil, errors.New(strings.Join(r.Failures, "; "))
		case matrix.Deviates:
			return nil, nil // some do when time has passed
		}
		if c.Group == "servers" && c.Case == "Expect" && r.Took > time.Second {
			return nil, nil // the Transport has waited in vain
		}
		transcripts, err := transcriptsOf(r)
		if err == nil {
			return transcripts, nil
		}
		last = err
	}
	return nil, last
}

// transcriptsOf returns a transcript of each part of a cell. Clients are recorded with one
// way of our server.
func transcriptsOf(r matrix.Result) ([]*transcript.Transcript, error) {
	c := r.Cell
	role := transcript.Client
	if c.Group == "servers" {
		role = transcript.Server
	}
	var all []*transcript.Transcript
	tight := false
	for _, recording := range r.Recorded {
		part, ok := strings.CutPrefix(recording.Part, string(origin.ByConfigureServer)+": ")
		if recording.Peer != role || !ok && role == transcript.Client {
			continue
		}
		if errors.Is(recording.Err, transcript.ErrTight) {
			tight = true
			continue
		}
		if recording.Err != nil {
			return nil, recording.Err
		}
		if len(recording.Conn.Parts) == 0 {
			continue
		}
		name := strings.ReplaceAll(strings.TrimSuffix(c.Case+": "+part, ": "), ": ", ", ")
		if n := len(all); n == 0 || all[n-1].Case != name {
			all = append(all, &transcript.Transcript{
				Peer: c.Peer + " " + c.Needs[0].Version(), Role: role, Entry: c.Entry, Case: name,
			})
		}
		t := all[len(all)-1]
		t.Conns = append(t.Conns, recording.Conn)
	}
	if all == nil && !tight {
		return nil, errors.New("nothing was recorded")
	}
	return all, nil
}

var notInFileNames = regexp.MustCompile(`[^a-z0-9*.]+`)

// fileName is made of the peer without its version, the entry and the case.
func fileName(t *transcript.Transcript) string {
	peer, _, _ := strings.Cut(t.Peer, " ")
	if i := strings.LastIndex(t.Peer, " "); i >= 0 {
		peer = t.Peer[:i]
	}
	name := notInFileNames.ReplaceAllString(strings.ToLower(strings.Join([]string{string(t.Role), peer, t.Entry, t.Case}, " ")), "-")
	return strings.ReplaceAll(name, "*", "asterisk") + ".txt"
}
