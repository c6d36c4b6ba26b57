package interop

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var java = &peer{name: "java", files: named("java"), probe: []string{"-version"}}

// javaCase is a case of testdata/Client.java.
type javaCase struct {
	name string
	url  string
	file string // for the body
}

// javaResponse is what the client made of a response.
type javaResponse struct {
	status  string
	version string // such as HTTP_2
	body    string
}

// runJava runs cases of the HttpClient of Java, and returns the responses of each.
func runJava(ctx context.Context, path string, cases ...javaCase) ([][]javaResponse, output, error) {
	args := []string{"testdata/Client.java"}
	for _, c := range cases {
		args = append(args, c.name, c.url, c.file)
	}
	out, err := run(ctx, 2*time.Minute, path, args...)
	if err != nil {
		return nil, out, err
	}
	responses := make([][]javaResponse, len(cases))
	for line := range strings.Lines(string(out.stdout)) {
		f := strings.SplitN(strings.TrimRight(line, "\r\n"), "\t", 4)
		n, err := strconv.Atoi(f[0])
		if len(f) != 4 || err != nil || n < 0 || n >= len(cases) {
			return nil, out, fmt.Errorf("%q in the output of java", line)
		}
		responses[n] = append(responses[n], javaResponse{f[1], f[2], f[3]})
	}
	return responses, out, nil
}
