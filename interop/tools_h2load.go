package main

import (
	"fmt"

	"github.com/seed78dc1b7f/h2c/interop/internal/clients"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// Of h2load: so many requests over so many connections, as many at once on each.
const (
	loadRequests    = 2000
	loadConnections = 10
)

func h2loadRequests(t *matrix.T, w origin.Way) {
	s := runH2load(t, w, "GET /bytes/1024 HTTP/2.0 by prior-knowledge", "--max-concurrent-streams=10")
	s.WantNegotiated(t, 0, loadConnections)
}

func h2loadHTTP1(t *matrix.T, w origin.Way) {
	s := runH2load(t, w, "GET /bytes/1024 HTTP/1.1 by http/1.1", "--h1")
	s.WantNegotiated(t, 0, 0)
}

// runH2load runs h2load, all of whose requests must come as the line says.
func runH2load(t *matrix.T, w origin.Way, line string, args ...string) *origin.Server {
	s := origin.StartFor(t, w, origin.Config{})
	got, err := clients.RunH2load(t.Context(), append(args,
		fmt.Sprintf("--requests=%d", loadRequests), fmt.Sprintf("--clients=%d", loadConnections), s.URL+"/bytes/1024")...)
	if err != nil {
		t.Fatal(err)
	}
	want := clients.H2loadResult{
		Total: loadRequests, Succeeded: loadRequests, Status2xx: loadRequests, Body: loadRequests * peer.KiB,
	}
	if got != want {
		t.Errorf("h2load says %+v, want %+v", got, want)
	}
	times := make(map[string]int)
	for _, r := range s.Seen() {
		times[r.String()]++
	}
	if len(times) != 1 || times[line] != loadRequests {
		t.Errorf("handler saw %v, want %d times %s", times, loadRequests, line)
	}
	s.WantConnections(t, loadConnections)
	return s
}
