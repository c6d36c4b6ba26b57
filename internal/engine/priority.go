package engine

import "strings"

// A priority is what a client says of the order in which it wants responses.
//
// https://www.rfc-editor.org/rfc/rfc9218.html#section-4
type priority struct {
	urgency     uint8 // 0 to 7, 0 is the first
	incremental bool  // parts of it are of use
}

const defaultUrgency = 3

// parsePriority parses the value of a Priority field. What it does not know it ignores.
func parsePriority(value string) priority {
	p := priority{urgency: defaultUrgency}
	for item := range strings.SplitSeq(value, ",") {
		item, _, _ = strings.Cut(strings.TrimSpace(item), ";")
		switch {
		case len(item) == 3 && strings.HasPrefix(item, "u=") && item[2] >= '0' && item[2] <= '7':
			p.urgency = item[2] - '0'
		case item == "i" || item == "i=?1":
			p.incremental = true
		case item == "i=?0":
			p.incremental = false
		}
	}
	return p
}
