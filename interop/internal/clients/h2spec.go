package clients

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"go/build"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// H2spec checks a server by prior knowledge against RFC 7540 and RFC 7541.
var H2spec = &peer.Peer{
	Name:  "h2spec",
	Files: append([]string{"h2spec"}, inGopath("h2spec")...),
	Probe: []string{"--version"},
	Says:  func() string { return "2.2.1" }, // the one that is installed says 2.0.0
}

// inGopath returns where go install puts a program.
func inGopath(name string) []string {
	var files []string
	for _, dir := range filepath.SplitList(build.Default.GOPATH) {
		files = append(files, filepath.Join(dir, "bin", name))
	}
	return files
}

// H2specCases is how many cases h2spec 2.2.1 has.
const H2specCases = 145

// An H2specResult is the outcome of one case.
type H2specResult struct {
	Title   string
	Failure string // empty if it passed
}

// h2specReport is the JUnit report of h2spec.
type h2specReport struct {
	Suites []struct {
		Package string `xml:"package,attr"`
		Cases   []struct {
			Title   string      `xml:"classname,attr"`
			Failure *h2specText `xml:"failure"`
			Error   *h2specText `xml:"error"`
			Skipped *h2specText `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

type h2specText struct {
	Text string `xml:",innerxml"`
}

// RunH2spec runs h2spec against a server, all cases or one of them, and returns the results
// by the argument that selects the case, such as http2/6.5.3/1. Files go to dir.
func RunH2spec(ctx context.Context, addr, dir, only string) (map[string]H2specResult, error) {
	path, err := H2spec.Find()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "junit.xml")
	args := []string{"-h", host, "-p", port, "-P", "/hello", "-j", file}
	if only != "" {
		args = append(args, only)
	}
	_, err = peer.Run(ctx, 90*time.Second, peer.Command{Path: path, Args: args})
	if exit := (*exec.ExitError)(nil); err != nil && !(errors.As(err, &exit) && exit.Exited()) { // if so, some cases failed
		return nil, err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file); err != nil {
		return nil, err
	}
	return parseH2spec(b, only)
}

func parseH2spec(b []byte, only string) (map[string]H2specResult, error) {
	var report h2specReport
	if err := xml.Unmarshal(b, &report); err != nil {
		return nil, err
	}
	results := make(map[string]H2specResult)
	for _, suite := range report.Suites {
		for i, c := range suite.Cases {
			id := fmt.Sprintf("%s/%d", suite.Package, i+1)
			if only != "" {
				id = only // the report has this one alone
			}
			r := H2specResult{Title: c.Title}
			for _, f := range []*h2specText{c.Failure, c.Error, c.Skipped} {
				if f != nil {
					r.Failure += "failed: " + f.Text
				}
			}
			results[id] = r
		}
	}
	return results, nil
}
