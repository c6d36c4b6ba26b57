package clients

import (
	"context"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

//go:embed testdata/Client.java testdata/Json.java
var javaSources embed.FS

var javaDriver = &driver{
	peer: &peer.Peer{
		Name:  "Java HttpClient",
		Files: []string{"java"},
		Probe: []string{"--add-modules", "jdk.compiler", "-version"}, // a runtime alone lacks it
	},
	files: javaClasses,
	args:  func(dir string) []string { return append(slices.Clone(javaFlags), "-cp", dir, "Client") },
}

// Java is the class java.net.http.HttpClient.
var Java = &Client{
	Peer:    javaDriver.peer,
	Entries: []Entry{Upgrade},
	Cannot: map[string]string{
		"trailers":  "HttpClient does not show trailers",
		"OPTIONS *": "HttpClient takes no target but a path",
	},
	Send: javaDriver.send,
}

// javaFlags make a start cheap, and leave no file of statistics.
var javaFlags = []string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-XX:-UsePerfData"}

var compiled struct {
	sync.Mutex
	classes map[string][]byte // by the name of the file
}

// javaClasses compiles the driver, once for all.
func javaClasses(ctx context.Context, java string) (map[string][]byte, error) {
	compiled.Lock()
	defer compiled.Unlock()
	if compiled.classes != nil {
		return compiled.classes, nil
	}
	dir, err := os.MkdirTemp("", "h2c-interop-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, javaSources); err != nil {
		return nil, err
	}
	args := append(slices.Clone(javaFlags),
		"--module", "jdk.compiler/com.sun.tools.javac.Main",
		"-d", dir, filepath.Join(dir, "testdata/Client.java"), filepath.Join(dir, "testdata/Json.java"))
	if out, err := peer.Run(ctx, time.Minute, peer.Command{Path: java, Args: args}); err != nil {
		return nil, fmt.Errorf("%w\n%s%s", err, out.Stdout, out.Stderr)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.class"))
	if err != nil {
		return nil, err
	}
	classes := make(map[string][]byte)
	for _, file := range files {
		if classes[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	compiled.classes = classes
	return classes, nil
}
