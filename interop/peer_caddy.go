//go:build unix

package interop

// caddy upgrades by golang.org/x/net/http2/h2c.
var caddy = &program{
	peer: &peer{name: "caddy", files: named("caddy"), probe: []string{"version"}},
	args: []string{"run", "--adapter", "caddyfile", "--config", "{dir}/conf"},
	env:  []string{"HOME={dir}", "XDG_DATA_HOME={dir}", "XDG_CONFIG_HOME={dir}"},
	conf: `{
	admin off
	auto_https off
	servers {
		protocols h1 h2 h2c
	}
}
http://127.0.0.1:{port} {
	root * {www}
	file_server
}
`,
}
