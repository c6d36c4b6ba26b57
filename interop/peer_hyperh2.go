package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// hyperH2 is the Python that the h2 package is installed for; the first one on PATH need
// not be it.
var hyperH2 = &peer{
	name:  "Python with hyper-h2",
	files: func() []string { return []string{"/usr/bin/python3", "python3"} },
	probe: []string{"-c", "import h2.connection"},
}

type hyperH2Response struct {
	Stream int
	Status string
	Body   string
}

// runHyperH2 sends a GET for each path, the first one as mode says: UPGRADE or PRIOR.
func runHyperH2(ctx context.Context, path, mode, addr string, targets ...string) ([]hyperH2Response, output, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, output{}, err
	}
	args := append([]string{"testdata/client.py", mode, host, port}, targets...)
	out, err := run(ctx, 90*time.Second, path, args...)
	if err != nil {
		return nil, out, err
	}
	var responses []hyperH2Response
	for dec := json.NewDecoder(bytes.NewReader(out.stdout)); ; {
		var r hyperH2Response
		switch err := dec.Decode(&r); {
		case errors.Is(err, io.EOF):
			return responses, out, nil
		case err != nil:
			return nil, out, fmt.Errorf("output of hyper-h2: %w", err)
		}
		responses = append(responses, r)
	}
}
