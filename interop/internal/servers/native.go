//go:build unix

package servers

import (
	"context"
	"embed"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// Servers of testdata serve what origin.Handler does, by themselves and with these
// differences:
//
//	/echo       is the body itself
//	/bytes/N    is a file; so is what /gate/N serves
//	/open?NAME  opens the gate
//
// They print "handled METHOD TARGET" for each other request, and may print "cancelled NAME"
// when one ends at its gate.
//
//go:embed testdata/*.java testdata/server.js testdata/server.py
var sources embed.FS

func source(name string) string {
	b, err := sources.ReadFile("testdata/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(b)
}

// native is for a server of testdata. Its gates are opened in HTTP/2 alone, or in HTTP/1.1.
func native(program func() (*peer.Program, error), onlyHTTP2 bool) func(string) (*Instance, error) {
	return func(dir string) (*Instance, error) {
		p, err := program()
		if err != nil {
			return nil, err
		}
		proc, err := p.Start(dir, "")
		if err != nil {
			return nil, err
		}
		i := ofProcess(proc)
		i.Times = func() map[string]int {
			times := make(map[string]int)
			for line := range strings.Lines(proc.Log.String()) {
				if r, ok := strings.CutPrefix(strings.TrimSpace(line), "handled "); ok {
					times[r]++
				}
			}
			return times
		}
		i.Cancelled = func(gate string) bool {
			return strings.Contains(proc.Log.String(), "cancelled "+gate+"\n")
		}
		opener := &http.Transport{Protocols: new(http.Protocols)}
		opener.Protocols.SetHTTP1(!onlyHTTP2)
		opener.Protocols.SetUnencryptedHTTP2(onlyHTTP2)
		i.Open = func(gate string) error { return open(opener, proc.URL+"/open?"+gate) }
		i.stop = func() error {
			opener.CloseIdleConnections()
			proc.Stop()
			return nil
		}
		return i, nil
	}
}

func open(t *http.Transport, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("opening a gate: %s", resp.Status)
	}
	return nil
}

// as is for a program whose files need no work.
func as(p *peer.Program) func() (*peer.Program, error) {
	return func() (*peer.Program, error) { return p, nil }
}
