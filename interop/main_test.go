package main

import (
	"flag"
	"os"
	"testing"

	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
)

var require = flag.Bool("require", os.Getenv("CI") == "true" || os.Getenv("H2C_REQUIRE_PEERS") == "1",
	"an absent peer is a failure; the default is true if CI=true or H2C_REQUIRE_PEERS=1")

// TestMatrix has a subtest for each cell of the matrix.
func TestMatrix(t *testing.T) {
	t.Cleanup(func() {
		for _, f := range matrix.Close() {
			t.Error(f)
		}
	})
	for _, c := range cells() {
		t.Run(c.Name(), func(t *testing.T) {
			t.Parallel()
			r := c.Run(t.Context(), matrix.Options{Require: *require, Tap: testing.Verbose()})
			switch r.Status {
			case matrix.Failed:
				for _, f := range r.Failures {
					t.Error(f)
				}
				for _, l := range r.Log {
					t.Log(l)
				}
				t.Log(r.Transcript)
			case matrix.Deviates:
				for _, f := range r.Failures {
					t.Logf("known deviation: %s", f)
				}
			case matrix.Absent:
				t.Skip("skipped: " + r.Reason)
			case matrix.Unable:
				t.Log("there is nothing to run: " + r.Reason) // its peer is there, though
			}
		})
	}
}
