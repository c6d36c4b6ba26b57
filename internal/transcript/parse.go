package transcript

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Parse reads a transcript. It is strict: there is one text for each transcript.
func Parse(text []byte) (*Transcript, error) {
	t := new(Transcript)
	p := parser{t: t, next: []string{"peer", "role", "entry", "case"}}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if err := p.line(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if len(t.Conns) == 0 {
		return nil, errors.New("no connection")
	}
	if again := t.Encode(); !bytes.Equal(text, again) {
		return nil, difference(text, again)
	}
	return t, nil
}

// difference tells where a text begins to differ from what it is to be.
func difference(text, want []byte) error {
	got, lines := strings.Split(string(text), "\n"), strings.Split(string(want), "\n")
	n := 0
	for n < len(got) && n < len(lines) && got[n] == lines[n] {
		n++
	}
	switch {
	case n == len(got):
		return fmt.Errorf("line %d is missing: %q", n+1, lines[n])
	case n == len(lines):
		return fmt.Errorf("line %d is too much: %q", n+1, got[n])
	}
	return fmt.Errorf("line %d is %q, and is to be %q", n+1, got[n], lines[n])
}

type parser struct {
	t      *Transcript
	next   []string // keys of the header that are to come
	inBody bool
	size   int // of all octets
}

func (p *parser) line(line string) error {
	if octets, ok := strings.CutPrefix(line, "  "); ok {
		return p.octets(octets)
	}
	if line == "---" && !p.inBody && len(p.next) == 0 {
		p.inBody = true
		return nil
	}
	key, value, ok := strings.Cut(line, ":")
	if !ok {
		return fmt.Errorf("malformed: %q", line)
	}
	value = strings.TrimPrefix(value, " ")
	if p.inBody {
		return p.body(key, value)
	}
	return p.header(key, value)
}

func (p *parser) header(key, value string) error {
	if len(p.next) == 0 && key == "expect" {
		return nil // it follows from the octets
	}
	if len(p.next) == 0 || key != p.next[0] || value == "" {
		return fmt.Errorf("%q is unknown, or not in its place", key)
	}
	p.next = p.next[1:]
	switch key {
	case "peer":
		p.t.Peer = value
	case "role":
		p.t.Role = Role(value)
		if p.t.Role != Client && p.t.Role != Server {
			return fmt.Errorf("unknown role %q", value)
		}
	case "entry":
		p.t.Entry = value
	case "case":
		p.t.Case = value
	}
	return nil
}

func (p *parser) body(key, value string) error {
	if key == "connection" {
		p.t.Conns = append(p.t.Conns, Conn{Client: value})
		return nil
	}
	if key != "client" && key != "server" || len(p.t.Conns) == 0 {
		return fmt.Errorf("%q is unknown, or not in its place", key)
	}
	c := &p.t.Conns[len(p.t.Conns)-1]
	part := Part{Client: key == "client"}
	if value != "" {
		facts, ok := strings.CutPrefix(value, "after ")
		if !ok || !p.t.isPeer(part) {
			return fmt.Errorf("malformed: %q", value)
		}
		for text := range strings.SplitSeq(facts, ", ") {
			f, err := parseFact(text)
			if err != nil {
				return err
			}
			part.After = append(part.After, f)
		}
	}
	if p.t.isPeer(part) && slices.ContainsFunc(c.Parts, func(earlier Part) bool { return earlier.Closes }) {
		return errors.New("the peer has closed the connection")
	}
	c.Parts = append(c.Parts, part)
	return nil
}

func parseFact(text string) (Fact, error) {
	words := strings.Split(text, " ")
	f := Fact{What: words[0], N: 1}
	var numbers []int
	for _, w := range words[1:] {
		n, err := strconv.ParseUint(w, 10, 31)
		if err != nil {
			return Fact{}, err
		}
		numbers = append(numbers, int(n))
	}
	if slices.Contains(streamFacts, f.What) && len(numbers) > 0 {
		f.Stream = uint32(numbers[0])
		numbers = numbers[1:]
	} else if !slices.Contains(connFacts, f.What) {
		return Fact{}, fmt.Errorf("unknown fact %q", text)
	}
	if len(numbers) == 1 {
		f.N = numbers[0]
	}
	if f.String() != text {
		return Fact{}, fmt.Errorf("malformed fact %q", text)
	}
	return f, nil
}

// octets reads a line of a part.
func (p *parser) octets(line string) error {
	var part *Part
	if n := len(p.t.Conns); n > 0 {
		if parts := p.t.Conns[n-1].Parts; len(parts) > 0 {
			part = &parts[len(parts)-1]
		}
	}
	if part == nil || part.Closes {
		return errors.New("octets that are in no part")
	}
	before := len(part.Octets)
	defer func() { p.size += len(part.Octets) - before }()
	if p.size > 2*maxRecorded {
		return errors.New("too large")
	}
	switch {
	case strings.HasPrefix(line, "# "):
	case line == closes && p.t.isPeer(*part):
		part.Closes = true
	case line == "|":
		part.Octets = append(part.Octets, "\r\n"...)
	case strings.HasPrefix(line, "| "):
		part.Octets = append(part.Octets, line[2:]+"\r\n"...)
	case strings.HasPrefix(line, `"`):
		s, err := strconv.Unquote(line)
		if err != nil {
			return fmt.Errorf("%w: %s", err, line)
		}
		part.Octets = append(part.Octets, s...)
	case strings.HasPrefix(line, "payload "):
		var at, n uint
		if _, err := fmt.Sscanf(line, "payload %d %d", &at, &n); err != nil || at > maxRecorded || n > maxRecorded-at {
			return fmt.Errorf("malformed: %q", line)
		}
		part.Octets = append(part.Octets, Payload(int(at + n))[at:]...)
	default:
		b, err := hex.DecodeString(strings.ReplaceAll(line, " ", ""))
		if err != nil {
			return fmt.Errorf("%w: %s", err, line)
		}
		part.Octets = append(part.Octets, b...)
	}
	return nil
}
