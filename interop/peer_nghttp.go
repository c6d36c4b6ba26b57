package interop

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
)

var nghttp = &peer{name: "nghttp", files: named("nghttp"), probe: []string{"--version"}}

// nghttpRun is what one run of nghttp did.
type nghttpRun struct {
	output
	upgraded bool
	status   map[int]string // by stream, the last one
}

var nghttpStatus = regexp.MustCompile(`recv \(stream_id=(\d+)\) :status: (\d+)`)

// runNghttp runs nghttp with -nv. It exits 0 even if requests fail, so only its output
// tells what happened.
func runNghttp(ctx context.Context, path string, args ...string) (nghttpRun, error) {
	out, err := run(ctx, 90*time.Second, path, append([]string{"-nv", "--timeout=60"}, args...)...)
	r := nghttpRun{output: out, status: make(map[int]string)}
	if err != nil {
		return r, err
	}
	text := string(out.stdout)
	for _, failure := range []string{"were not processed", "[ERROR]", "HTTP Upgrade failed", "recv GOAWAY", "recv RST_STREAM"} {
		if strings.Contains(text, failure) || strings.Contains(string(out.stderr), failure) {
			return r, fmt.Errorf("nghttp says %q", failure)
		}
	}
	r.upgraded = strings.Contains(text, "HTTP Upgrade success")
	for _, m := range nghttpStatus.FindAllStringSubmatch(text, -1) {
		var stream int
		fmt.Sscan(m[1], &stream)
		r.status[stream] = m[2]
	}
	return r, nil
}
