//go:build unix

package servers

import "strings"

// tomcat answers a 101 without a reason, and 413 to an offer whose body is above 4 KiB, after
// which it closes the connection.
var tomcat = &Server{
	Name: "Tomcat", Peer: tomcatPeer,
	WithMore: Rejected,
	Cannot: map[string]string{
		"early hints":       "its servlets cannot send 103",
		"cancel in handler": blind,
	},
	start: native(javaProgram(tomcatPeer, tomcatClasses, "TomcatServer", strings.NewReplacer(), "{port}", "{dir}/tomcat", "{www}"), false),
}

const tomcatClasses = "/usr/share/tomcat10/lib/*:/usr/share/tomcat10/bin/tomcat-juli.jar"

var tomcatPeer = javaPeer("Tomcat", tomcatClasses, "org.apache.catalina.util.ServerInfo", "Apache Tomcat/")
