package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	defaultProbeTimeout = 5 * time.Second
	// probeOverall is how many times the timeout of one question all of them may take.
	probeOverall = 12
)

const probeHead = `Usage: h2c probe [flags] URL

Asks the server of an http URL (without a scheme, http:// is meant), or the proxy before it, what it does with HTTP/2: whether
it upgrades, takes prior knowledge, refuses offers that are malformed, and whether an
upgrade goes through a proxy and makes a tunnel of it. The answer is a table, a row for
each question, with a verdict:

  ok     it does, or refuses what is to be refused
  no     it does not, or answers with an error, or not at all
  note   something to know about
  risk   something to change; what, is said below the table

The requests are GET, HEAD and POST for the URL, with a body of up to 1 MiB of harmless
text, and OPTIONS *. They go out one after the other, about thirty, some of them malformed.

The exit status is 0 if the server could be asked, whatever it answered, 1 if it could
not be reached, and 2 for a mistake in the flags or the URL.
`

// probeOptions are the flags of the command.
type probeOptions struct {
	json    bool
	noPost  bool
	timeout time.Duration
	url     *url.URL
}

func (o *probeOptions) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("h2c probe", flag.ContinueOnError)
	fs.BoolVar(&o.json, "json", false, "print one JSON document instead of the table")
	fs.BoolVar(&o.noPost, "no-post", false, "leave out the requests with a body")
	fs.DurationVar(&o.timeout, "timeout", defaultProbeTimeout,
		fmt.Sprintf("wait for the answer to one question for `D`, to all for %d times that", probeOverall))
	return fs
}

// parse parses the arguments: flags, and a URL.
func (o *probeOptions) parse(fs *flag.FlagSet, args []string) error {
	err := parseMixed(fs, args, func(arg string) (err error) {
		if o.url != nil {
			return fmt.Errorf("unexpected argument %q", arg)
		}
		o.url, err = parseProbeURL(arg)
		return err
	})
	switch {
	case err != nil:
		return err
	case o.url == nil:
		return errors.New("no URL")
	case o.timeout <= 0:
		return errors.New("-timeout is not positive")
	}
	return nil
}

// parseProbeURL returns the URL to ask for.
func parseProbeURL(s string) (*url.URL, error) {
	u, err := parseURL(s)
	if err != nil {
		return nil, err
	}
	if u.User != nil || u.Fragment != "" ||
		strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, fmt.Errorf("%q is not of the form http://HOST[:PORT][/PATH][?QUERY]", s)
	}
	return u, nil
}

func probe(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o probeOptions
	fs := o.flags()
	switch err := o.parse(fs, args); {
	case errors.Is(err, flag.ErrHelp):
		flagUsage(fs, probeHead, stdout)
		return exitOK
	case err != nil:
		return flagError(fs, err, stderr)
	}
	if err := o.probe(ctx, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "h2c probe: %v\n", err)
		return exitError
	}
	return exitOK
}

// probe asks all questions, and writes the report when it has all answers.
func (o *probeOptions) probe(ctx context.Context, stdout, stderr io.Writer) error {
	p := &prober{target: probeTarget{url: o.url, timeout: o.timeout}}
	c, err := p.target.dial(ctx)
	if err != nil {
		return err
	}
	c.close()

	fmt.Fprintf(stderr, "h2c probe: asking %s; this takes up to %v", o.url, probeOverall*o.timeout)
	if !o.noPost {
		fmt.Fprint(stderr, ", and sends some POST requests with a harmless body (-no-post leaves them out)")
	}
	fmt.Fprintln(stderr)

	report := probeReport{URL: o.url.String(), Address: p.target.addr}
	end := time.Now().Add(probeOverall * o.timeout)
	bounded, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	for _, pc := range probeCases() {
		if pc.post && o.noPost {
			continue
		}
		var f probeFinding
		switch {
		case !time.Now().Before(end):
			f = finding(verdictNote, "not asked: the time was up")
		case p.mute && !pc.always:
			f = finding(verdictNote, "not asked: it does not answer HTTP/1.1")
		default:
			f = pc.ask(bounded, p)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		report.add(pc, f)
	}
	if o.json {
		return report.writeJSON(stdout)
	}
	return report.writeTable(stdout)
}

// A probeRFC is a section of an RFC.
type probeRFC struct {
	number  int
	section string
}

func (r probeRFC) String() string { return fmt.Sprintf("RFC %d %s", r.number, r.section) }

// MarshalText implements [encoding.TextMarshaler]. The text is a URL.
func (r probeRFC) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "https://www.rfc-editor.org/rfc/rfc%d.html#section-%s", r.number, r.section), nil
}

// A probeReport is all that was found.
type probeReport struct {
	URL     string               `json:"url"`
	Address string               `json:"address"`
	Rows    []probeRow           `json:"rows"`
	Count   map[probeVerdict]int `json:"count"`
}

type probeRow struct {
	ID       string       `json:"id"`
	Name     string       `json:"name"`
	Verdict  probeVerdict `json:"verdict"`
	Evidence string       `json:"evidence"`
	RFC      probeRFC     `json:"rfc"`
	Fix      string       `json:"fix,omitempty"` // of a risk
}

func (r *probeReport) add(pc probeCase, f probeFinding) {
	if r.Count == nil {
		r.Count = map[probeVerdict]int{verdictOK: 0, verdictNo: 0, verdictNote: 0, verdictRisk: 0}
	}
	r.Rows = append(r.Rows, probeRow{pc.id, pc.name, f.verdict, f.evidence, pc.rfc, f.fix})
	r.Count[f.verdict]++
}

func (r *probeReport) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func (r *probeReport) writeTable(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s\n\n", r.URL, r.Address)
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, "VERDICT\tQUESTION\tSECTION\tEVIDENCE\n")
	var fixes []string // each once, in the order of the rows
	for _, row := range r.Rows {
		fmt.Fprintf(tw, "%s\t%s\t%v\t%s\n", row.Verdict, row.Name, row.RFC, row.Evidence)
		if row.Fix != "" && !slices.Contains(fixes, row.Fix) {
			fixes = append(fixes, row.Fix)
		}
	}
	tw.Flush()
	fmt.Fprintf(&b, "\n%d ok, %d no, %d note, %d risk\n",
		r.Count[verdictOK], r.Count[verdictNo], r.Count[verdictNote], r.Count[verdictRisk])
	for _, fix := range fixes {
		fmt.Fprintf(&b, "\nagainst the risk: %s\n", fix)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
