package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds what a test waits for. It is for a busy machine; no test waits that long.
const patience = time.Minute

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"h2c": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"await":   await,
			"serving": serving,
			"status":  status,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "curl" {
				return haveCurl()
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	})
}

// haveCurl reports whether curl is there. In CI its absence is an error.
func haveCurl() (bool, error) {
	_, err := exec.LookPath("curl")
	if err != nil && peersRequired() {
		return false, errors.New("curl is not installed, and it is required")
	}
	return err == nil, nil
}

// await is "await FILE TEXT": it waits until a file that a program writes has the text.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	awaitFile(ts, args[0], args[1])
}

// serving is "serving FILE VAR": it waits until the output of h2c serve says where it
// serves, and sets the variable to that URL.
func serving(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: serving FILE VAR")
	}
	line, _, _ := strings.Cut(awaitFile(ts, args[0], "\n"), "\n")
	url, ok := strings.CutPrefix(line, "serving on ")
	if !ok {
		ts.Fatalf("first line of output is %q", line)
	}
	ts.Setenv(args[1], url)
}

// status is "status N PROGRAM ARGS...": it runs a program, which must exit with status N.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := exitOK
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if args[0] != strconv.Itoa(code) {
		ts.Fatalf("exit status %d, want %s", code, args[0])
	}
}

func awaitFile(ts *testscript.TestScript, name, text string) string {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		b, err := os.ReadFile(ts.MkAbs(name))
		if err == nil && strings.Contains(string(b), text) {
			return string(b)
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no %q in %s, which has %q (%v)", text, name, b, err)
		}
	}
}

func TestSignaledReturnsStatus(t *testing.T) {
	status := signaled(func(ctx context.Context) int {
		if ctx.Err() != nil {
			t.Error("context has ended")
		}
		return 7
	})
	if status != 7 {
		t.Errorf("status %d, want 7", status)
	}
}

// peersRequired reports whether a program that is not on this machine is a failure.
func peersRequired() bool {
	return os.Getenv("CI") == "true" || os.Getenv("H2C_REQUIRE_PEERS") == "1"
}
