package main

import (
	"strings"
	"testing"
)

// A reason under a name that no case has would be passed over in silence.
func TestClientsCannotWhatThereIs(t *testing.T) {
	names := make(map[string]bool)
	for _, c := range clientCases {
		names[c.name] = true
	}
	for _, row := range clientRows {
		for key := range row.Cannot {
			name := key
			for _, e := range row.Entries {
				name = strings.TrimPrefix(name, string(e)+": ")
			}
			if !names[name] {
				t.Errorf("%s cannot do %q, which is no case", row.Peer.Name, key)
			}
		}
	}
}

// Everything that only one kind of client does needs one that does it.
func TestClientsDoAll(t *testing.T) {
	done := make(map[string]bool)
	for _, c := range clientCells() {
		if c.Cannot == "" {
			done[c.Case] = true
		}
	}
	for _, c := range clientCases {
		if !done[c.name] {
			t.Errorf("no client does %q", c.name)
		}
	}
}
