//go:build unix

package servers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// javaFlags make a start cheap.
var javaFlags = []string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"}

// javaPeer returns a peer whose version a class tells.
func javaPeer(name, classPath, class, after string) *peer.Peer {
	return &peer.Peer{
		Name: name, Files: []string{"java"},
		// A runtime alone lacks the compiler.
		Probe: append(javaFlags[:len(javaFlags):len(javaFlags)], "--add-modules", "jdk.compiler", "-cp", classPath, class),
		After: after,
	}
}

// javaProgram returns a program that runs the class, which is compiled once for all, with
// Handler. The arguments are those of the class.
func javaProgram(p *peer.Peer, classPath, class string, rename *strings.Replacer, args ...string) func() (*peer.Program, error) {
	compiled := sync.OnceValues(func() (map[string]string, error) {
		java, err := p.Find()
		if err != nil {
			return nil, err
		}
		return compile(java, classPath, map[string]string{
			"Handler.java":  rename.Replace(source("Handler.java")),
			class + ".java": source(class + ".java"),
		})
	})
	return func() (*peer.Program, error) {
		classes, err := compiled()
		if err != nil {
			return nil, err
		}
		run := append(javaFlags[:len(javaFlags):len(javaFlags)], "-cp", "{dir}:"+classPath, class)
		return &peer.Program{Peer: p, Args: append(run, args...), Files: classes}, nil
	}
}

// compile returns class files by their names.
func compile(java, classPath string, files map[string]string) (map[string]string, error) {
	dir, err := os.MkdirTemp("", "h2c-interop-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if classPath, err = expand(classPath); err != nil {
		return nil, err
	}
	args := append(javaFlags[:len(javaFlags):len(javaFlags)],
		"--module", "jdk.compiler/com.sun.tools.javac.Main", "-proc:none", "-cp", classPath, "-d", dir)
	for name, content := range files {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			return nil, err
		}
		args = append(args, name)
	}
	if out, err := peer.Run(context.Background(), time.Minute, peer.Command{Path: java, Args: args}); err != nil {
		return nil, fmt.Errorf("%w\n%s%s", err, out.Stdout, out.Stderr)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.class"))
	if err != nil {
		return nil, err
	}
	classes := make(map[string]string)
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		classes[filepath.Base(name)] = string(b)
	}
	return classes, nil
}

// expand returns a class path with the names of files in the place of wildcards, which only
// the programs java and javac know.
func expand(classPath string) (string, error) {
	var names []string
	for _, name := range filepath.SplitList(classPath) {
		if dir, ok := strings.CutSuffix(name, "/*"); ok {
			jars, err := filepath.Glob(dir + "/*.jar")
			if err != nil {
				return "", err
			}
			names = append(names, jars...)
			continue
		}
		names = append(names, name)
	}
	return strings.Join(names, string(filepath.ListSeparator)), nil
}

// blind is for servlets, which wait at a gate.
const blind = "a servlet that waits does not learn that its request was given up"
