package interop

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

var h2spec = &peer{
	name:  "h2spec",
	probe: []string{"--version"},
	files: func() []string {
		files := []string{"h2spec"}
		if gopath, err := exec.Command("go", "env", "GOPATH").Output(); err == nil {
			for _, dir := range filepath.SplitList(strings.TrimSpace(string(gopath))) {
				files = append(files, filepath.Join(dir, "bin", "h2spec"))
			}
		}
		return files
	},
}

// h2specCases is how many cases h2spec 2.2.1 has.
const h2specCases = 145

// specResult is the outcome of one case.
type specResult struct {
	title   string
	failure string // empty if it passed
}

// specReport is the JUnit report of h2spec.
type specReport struct {
	Suites []struct {
		Package string `xml:"package,attr"`
		Cases   []struct {
			Title   string    `xml:"classname,attr"`
			Failure *specText `xml:"failure"`
			Error   *specText `xml:"error"`
			Skipped *specText `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

type specText struct {
	Text string `xml:",innerxml"`
}

// runH2spec runs h2spec against a server by prior knowledge, all cases or one of them, and
// returns the results by the argument that selects the case, such as http2/6.5.3/1. Files
// go to dir.
func runH2spec(ctx context.Context, path, addr, dir, only string) (map[string]specResult, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "junit.xml")
	args := []string{"-h", host, "-p", port, "-P", "/hello", "-j", file}
	if only != "" {
		args = append(args, only)
	}
	_, runErr := run(ctx, 3*time.Minute, path, args...)
	if exit := (*exec.ExitError)(nil); errors.As(runErr, &exit) && exit.Exited() {
		runErr = nil // some cases failed
	}
	if runErr != nil {
		return nil, runErr
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file); err != nil {
		return nil, err
	}
	var report specReport
	if err := xml.Unmarshal(b, &report); err != nil {
		return nil, err
	}
	results := make(map[string]specResult)
	for _, suite := range report.Suites {
		for i, c := range suite.Cases {
			id := fmt.Sprintf("%s/%d", suite.Package, i+1)
			if only != "" {
				id = only // the report has this one alone
			}
			r := specResult{title: c.Title}
			for _, f := range []*specText{c.Failure, c.Error, c.Skipped} {
				if f != nil {
					r.failure += "failed: " + f.Text
				}
			}
			results[id] = r
		}
	}
	return results, nil
}
