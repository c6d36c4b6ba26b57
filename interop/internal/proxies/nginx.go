//go:build unix

package proxies

import (
	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

var nginxPeer = &peer.Peer{Name: "nginx", Files: peer.InSbin("nginx"), Probe: []string{"-v"}}

// nginxProgram returns a program that passes requests as pass says, with these directives
// for all. Connections to the server are kept, if the directives let them.
func nginxProgram(pass, directives string) *peer.Program {
	return &peer.Program{
		Peer: nginxPeer,
		Args: []string{"-p", "{dir}", "-c", "{dir}/conf", "-e", "stderr"},
		Conf: `
daemon off;
master_process off;
pid {dir}/pid;
error_log stderr;
events {
	worker_connections 1024;
}
http {
	access_log off;
	client_body_temp_path {dir}/body;
	proxy_temp_path {dir}/proxy;
	fastcgi_temp_path {dir}/fastcgi;
	uwsgi_temp_path {dir}/uwsgi;
	scgi_temp_path {dir}/scgi;
	map $http_upgrade $connection_upgrade {
		default upgrade;
		'' close;
	}
	upstream h2c {
		server 127.0.0.1:{backend};
		keepalive 4;
	}
	server {
		listen 127.0.0.1:{port};
` + directives + `
		location / {
			` + pass + `;
		}
		location /events {
			proxy_buffering off;
			` + pass + `;
		}
	}
}
`,
	}
}

// nginx speaks HTTP/1.0 to the server, and leaks HTTP2-Settings.
var nginx = &Proxy{
	Entry:    "default",
	Program:  nginxProgram("proxy_pass http://h2c", ""),
	Proto:    http10,
	Cannot:   map[string]string{"trailers": "it speaks HTTP/1.0 to the server"},
	Offer:    plain,
	WithBody: plain,
}

const nginxUpgrade = `
		proxy_http_version 1.1;
		proxy_set_header Upgrade $http_upgrade;
`

// nginxWebsocket is the recipe of its documentation. Upgrade and HTTP2-Settings get through,
// but not the connection option of the latter.
var nginxWebsocket = &Proxy{
	Entry:    "websocket recipe",
	Program:  nginxProgram("proxy_pass http://h2c", nginxUpgrade+"proxy_set_header Connection $connection_upgrade;"),
	Proto:    http11,
	Cannot:   noTrailers,
	Offer:    Outcome{Status: 200, Declined: h2c.ReasonConnectionTokens},
	WithBody: Outcome{Status: 200, Declined: h2c.ReasonConnectionTokens},
}

const nginxAll = nginxUpgrade + "proxy_set_header Connection $http_connection;\n"

// nginxConnection passes on all of an offer, and when that is accepted it is a tunnel.
var nginxConnection = &Proxy{
	Entry:    "Connection $http_connection",
	Program:  nginxProgram("proxy_pass http://h2c", nginxAll),
	Proto:    http11,
	Cannot:   noTrailers,
	Offer:    plain,
	WithBody: plain,
	Told:     nginxProgram("proxy_pass http://h2c", nginxAll+"proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"),
}

var nginxGRPC = &Proxy{
	Entry:    "grpc_pass",
	Program:  nginxProgram("grpc_pass grpc://h2c", ""),
	Proto:    http2,
	Offer:    plain,
	WithBody: plain,
}
