package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// newProxy returns a handler that passes requests on to target. Of protocols to switch to
// it passes on websocket alone: another one would make the connection a tunnel whose
// content this proxy does not know.
func newProxy(target *url.URL, errorLog *log.Logger) http.Handler {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil               // target is where to connect to
	transport.DisableCompression = true // the client's Accept-Encoding counts
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns

	proxy := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			// ReverseProxy drops parameters that it cannot parse.
			pr.Out.URL.RawQuery = pr.In.URL.RawQuery
			pr.SetURL(target)
			pr.SetXForwarded()
			forwardUpgrade(pr.Out.Header)
		},
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      errorLog,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			http.Error(w, "CONNECT is for forward proxies", http.StatusNotImplemented)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

// forwardUpgrade makes of the Upgrade in h what the next server may see.
func forwardUpgrade(h http.Header) {
	websocket := false
	for _, value := range h["Upgrade"] {
		for protocol := range strings.SplitSeq(value, ",") {
			websocket = websocket || strings.EqualFold(strings.TrimSpace(protocol), "websocket")
		}
	}
	// RFC 7540 spells it HTTP2-Settings, net/http this way.
	h.Del("Http2-Settings")
	h.Del("Upgrade")
	h.Del("Connection")
	if websocket {
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", "websocket")
	}
}
