//go:build linux

package main

import (
	"fmt"
	"slices"
)

// httpSubjects are all HTTP servers. The first but one is what the others are compared with.
func httpSubjects() []*subject {
	return []*subject{
		goSubject(library),
		goSubject(netHTTP2),
		{name: netHTTP1, http1: true},
		{name: xNet, of: "golang.org/x/net"},
		nghttpd, h2o, apache,
	}
}

// byH2load returns a group whose cases have h2load for a client.
func byH2load(name, title, about string) *group {
	g := &group{name: name, title: title, about: about, subjects: httpSubjects(), figures: perRequest("request")}
	g.baseline = g.subjects[1]
	return g
}

func (g *group) add(name string, l load) {
	g.cases = append(g.cases, benchCase{name: name, begin: l.begin})
}

// times is how a number of connections, and of streams at once on each, is written.
func times(conns, streams int) string { return fmt.Sprintf("%dx%d", conns, streams) }

func httpGroup() *group {
	g := byH2load("http", "Small responses",
		"GET, answered by 13 octets. A case is named by its connections × requests at once on each. HTTP/1.1 has a connection for each "+
			"request at once instead, but no more than 100.")
	for _, conns := range []int{1, 10, 100} {
		for _, streams := range []int{1, 10, 100} {
			g.add(times(conns, streams), load{conns: conns, streams: streams, path: sizePath(len(hello)), weight: 1000})
		}
	}
	return g
}

func downloadGroup() *group {
	g := byH2load("download", "Downloads",
		"GET, with connections × requests at once on each as above. The servers in Go write slices of no more than 1 MiB from memory, the "+
			"others serve files.")
	g.add("1KiB 10x10", load{conns: 10, streams: 10, path: sizePath(1 << 10), weight: 1000})
	g.add("16KiB 10x10", load{conns: 10, streams: 10, path: sizePath(16 << 10), weight: 500})
	g.add("1MiB 1x1", load{conns: 1, streams: 1, path: sizePath(1 << 20), weight: 20})
	g.add("1MiB 10x10", load{conns: 10, streams: 10, path: sizePath(1 << 20), weight: 100})
	g.add("64MiB 1x1", load{conns: 1, streams: 1, path: sizePath(64 << 20), weight: 2})
	return g
}

func uploadGroup() *group {
	g := byH2load("upload", "Uploads",
		"POST, with connections × requests at once on each as above. The handler reads the body, then answers with 13 octets; h2o keeps "+
			"it in memory before that. Apache is not here: it answers such a request before it has the body.")
	g.subjects = slices.DeleteFunc(g.subjects, func(s *subject) bool { return s == apache })
	g.add("1MiB 1x1", load{conns: 1, streams: 1, path: uploadPath, upload: 1 << 20, weight: 20})
	g.add("1MiB 10x10", load{conns: 10, streams: 10, path: uploadPath, upload: 1 << 20, weight: 100})
	return g
}
