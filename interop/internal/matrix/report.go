package matrix

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// A document is what WriteJSON writes.
type document struct {
	Go      string       `json:"go"`
	Peers   []jsonPeer   `json:"peers"`
	Results []jsonResult `json:"results"`
}

type jsonPeer struct {
	Name    string `json:"name"`
	Version string `json:"version"` // "" if it is absent
}

type jsonResult struct {
	Group        string   `json:"group"`
	Peer         string   `json:"peer"`
	Entry        string   `json:"entry,omitempty"`
	Case         string   `json:"case"`
	Requirements []string `json:"requirements,omitempty"`
	Status       Status   `json:"status"`
	Reason       string   `json:"reason,omitempty"`
	Failures     []string `json:"failures,omitempty"`
	Known        []string `json:"known,omitempty"` // deviations, each with its RFC section
	Milliseconds int64    `json:"milliseconds"`
}

// WriteJSON writes the results for programs.
func WriteJSON(w io.Writer, results []Result) error {
	doc := document{Go: runtime.Version()}
	for _, p := range peers(results) {
		doc.Peers = append(doc.Peers, jsonPeer{p.Name, p.Version()})
	}
	for _, r := range results {
		j := jsonResult{
			Group: r.Cell.Group, Peer: r.Cell.Peer, Entry: r.Cell.Entry, Case: r.Cell.Case,
			Requirements: r.Cell.IDs, Status: r.Status, Reason: r.Reason, Failures: r.Failures,
			Milliseconds: r.Took.Milliseconds(),
		}
		for _, d := range r.Cell.Known {
			j.Known = append(j.Known, d.Evidence+" "+d.RFC)
		}
		doc.Results = append(doc.Results, j)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	return enc.Encode(doc)
}

// peers returns the peers that the cells need, by name.
func peers(results []Result) []*peer.Peer {
	var all []*peer.Peer
	for _, r := range results {
		for _, p := range r.Cell.Needs {
			same := func(o *peer.Peer) bool { return o.Name == p.Name && o.Version() == p.Version() }
			if _, err := p.Find(); err == nil && p.Version() == "" {
				continue // it is this library
			}
			if !slices.ContainsFunc(all, same) {
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, func(a, b *peer.Peer) int { return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return all
}

// WriteMarkdown writes the results for a reader.
func WriteMarkdown(w io.Writer, results []Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, `# Results of the interop matrix

Made by %s. %d cells: %s.

| cell | meaning |
|---|---|
| ok | passed; with a note, the peer deviates sometimes |
| known | the peer deviates from its RFC, as it is known to; see the notes |
| FAIL | failed |
| - | the peer cannot do it; see the notes |
| | not a case for this peer |

`, "`go run ./interop -markdown`", len(results), Summary(results))
	b.WriteString("## Versions\n\n| peer | version |\n|---|---|\n")
	fmt.Fprintf(&b, "| Go | %s |\n", strings.TrimPrefix(runtime.Version(), "go"))
	for _, p := range peers(results) {
		fmt.Fprintf(&b, "| %s | %s |\n", p.Name, cmp.Or(p.Version(), "absent"))
	}
	for _, t := range tables(results) {
		t.markdown(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *table) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s%s\n\n|  |", strings.ToUpper(t.group[:1]), t.group[1:])
	for _, column := range t.columns {
		fmt.Fprintf(b, " %s |", escape(column))
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(t.columns)) + "\n")
	var notes []string
	note := func(text string) int {
		i := slices.Index(notes, text)
		if i < 0 {
			i = len(notes)
			notes = append(notes, text)
		}
		return i + 1
	}
	for _, row := range t.rows {
		fmt.Fprintf(b, "| %s |", escape(row))
		for _, column := range t.columns {
			r, ok := t.results[[2]string{row, column}]
			text := marks[r.Status]
			switch {
			case !ok:
			case r.Status == Unable:
				text += fmt.Sprintf(" [%d]", note(r.Cell.Peer+": "+r.Reason))
			default:
				for _, d := range r.Cell.Known {
					text += fmt.Sprintf(" [%d]", note(r.Cell.Peer+": "+d.Evidence+" "+d.RFC))
				}
			}
			fmt.Fprintf(b, " %s |", text)
		}
		b.WriteString("\n")
	}
	if len(notes) > 0 {
		b.WriteString("\n")
	}
	for i, n := range notes {
		fmt.Fprintf(b, "%d. %s\n", i+1, escape(n))
	}
	ids := make(map[string][]string) // of the requirements, by column
	for _, column := range t.columns {
		for _, row := range t.rows {
			for _, id := range t.results[[2]string{row, column}].Cell.IDs {
				if !slices.Contains(ids[column], id) {
					ids[column] = append(ids[column], id)
				}
			}
		}
	}
	b.WriteString("\nRequirements that the cases prove: ")
	var parts []string
	for _, column := range t.columns {
		if len(ids[column]) > 0 {
			slices.Sort(ids[column])
			parts = append(parts, escape(column)+" "+strings.Join(ids[column], ", "))
		}
	}
	b.WriteString(strings.Join(parts, "; ") + ".\n")
}

// escape is for the text of a table.
func escape(s string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "_", `\_`, "\n", " ").Replace(s)
}
