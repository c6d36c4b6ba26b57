//go:build unix

package servers

import "strings"

// jetty answers a 101 without any field.
var jetty = &Server{
	Name: "Jetty", Peer: jettyPeer,
	WithBody: Declined, WithMore: Declined,
	Cannot: map[string]string{
		"early hints":       "its servlets cannot send 103",
		"cancel in handler": blind,
	},
	// Its servlets are those from before the package was renamed.
	start: native(javaProgram(jettyPeer, jettyClasses, "JettyServer", strings.NewReplacer("jakarta.", "javax."), "{port}", "{www}"), false),
}

var jettyClasses = jars("jetty9-server", "jetty9-util", "jetty9-http", "jetty9-io", "jetty9-servlet", "jetty9-security",
	"jetty9-http2-server", "jetty9-http2-common", "jetty9-http2-hpack", "servlet-api")

func jars(names ...string) string {
	for i, name := range names {
		names[i] = "/usr/share/java/" + name + ".jar"
	}
	return strings.Join(names, ":")
}

var jettyPeer = javaPeer("Jetty", jettyClasses, "org.eclipse.jetty.server.Server", "StdErrLog")
