package clients

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// H2load sends many requests over some connections.
var H2load = &peer.Peer{Name: "h2load", Files: []string{"h2load"}, Probe: []string{"--version"}}

// An H2loadResult is what h2load says of its requests.
type H2loadResult struct {
	Total, Succeeded int
	Status2xx        int
	Body             int64 // octets of DATA, or of bodies in HTTP/1.1
}

var (
	h2loadRequests = regexp.MustCompile(`(?m)^requests: (\d+) total, .* (\d+) succeeded,`)
	h2loadStatuses = regexp.MustCompile(`(?m)^status codes: (\d+) 2xx,`)
	h2loadTraffic  = regexp.MustCompile(`(?m)^traffic: .* \((\d+)\) data$`)
)

// RunH2load runs h2load.
func RunH2load(ctx context.Context, args ...string) (H2loadResult, error) {
	path, err := H2load.Find()
	if err != nil {
		return H2loadResult{}, err
	}
	out, err := peer.Run(ctx, time.Minute, peer.Command{Path: path, Args: args})
	if err != nil {
		return H2loadResult{}, fmt.Errorf("%w\n%s%s", err, out.Stdout, out.Stderr)
	}
	requests, statuses := h2loadRequests.FindSubmatch(out.Stdout), h2loadStatuses.FindSubmatch(out.Stdout)
	traffic := h2loadTraffic.FindSubmatch(out.Stdout)
	if requests == nil || statuses == nil || traffic == nil {
		return H2loadResult{}, fmt.Errorf("no result in the output of h2load:\n%s%s", out.Stdout, out.Stderr)
	}
	number := func(digits []byte) int {
		n, _ := strconv.Atoi(string(digits))
		return n
	}
	return H2loadResult{number(requests[1]), number(requests[2]), number(statuses[1]), int64(number(traffic[1]))}, nil
}
