//go:build unix

package servers

import "github.com/seed78dc1b7f/h2c/interop/internal/peer"

// nginx has a port for HTTP/2 alone.
var nginx = &Server{
	Name: "nginx", Peer: nginxProgram.Peer, Speaks: OnlyHTTP2,
	Files:  true,
	Cannot: map[string]string{"trailers": dropsTrailers},
	start:  inFront(nginxProgram),
}

var nginxProgram = &peer.Program{
	Peer: &peer.Peer{Name: "nginx", Files: peer.InSbin("nginx"), Probe: []string{"-v"}},
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
	client_max_body_size 16m;
	client_body_temp_path {dir}/body;
	proxy_temp_path {dir}/proxy;
	fastcgi_temp_path {dir}/fastcgi;
	uwsgi_temp_path {dir}/uwsgi;
	scgi_temp_path {dir}/scgi;
	server {
		listen 127.0.0.1:{port} http2;
		location /bytes/ {
			root {www};
		}
		location / {
			proxy_http_version 1.1;
			proxy_buffering off;
			proxy_request_buffering off;
			proxy_pass http://127.0.0.1:{backend};
		}
	}
}
`,
}
