// Package h2c speaks HTTP/2 over cleartext connections, as a server and as a client,
// whichever way it begins:
//
//   - by Upgrade: an HTTP/1.1 request offers h2c, a 101 accepts, and the response comes as
//     stream 1 (https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2);
//   - by prior knowledge: the connection opens with the client preface
//     (https://www.rfc-editor.org/rfc/rfc9113.html#section-3.3).
//
// RFC 9113 retired the Upgrade (https://www.rfc-editor.org/rfc/rfc9113.html#section-3.1), but
// clients still offer it, and net/http knows prior knowledge only. HTTP/1.1, and HTTP/2 as a
// client, are spoken by net/http. This package adds the switch, and serves HTTP/2 by an engine
// of its own, or that of net/http: see [Engine].
//
// # Usage
//
// Where the [http.Server] is yours, configure it, once, when its other fields are set:
//
//	hs := &http.Server{Addr: "127.0.0.1:8080", Handler: handler}
//	if err := h2c.ConfigureServer(hs, nil); err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(hs.ListenAndServe())
//
// Where only a handler is within reach, wrap it:
//
//	http.ListenAndServe("127.0.0.1:8080", h2c.NewHandler(handler, nil))
//
// A [Server] holds the options; nil means the defaults. An offer that fails a check is
// declined: the handler gets the request over HTTP/1.1, with its body and without the
// offer. [Stats], [Trace] and [Server.Logger] tell how each connection was negotiated, and
// the [Reason] why not. [RequestVia] tells a handler.
//
// A [Transport] is the client:
//
//	client := &http.Client{Transport: &h2c.Transport{}}
//	resp, err := client.Get("http://127.0.0.1:8080/")
//
// On first contact with an origin, the request carries an offer to upgrade. If the server
// accepts, the response comes on stream 1, and later requests share the connection. If it
// declines, its response is the answer, and the origin is not asked again for
// [Transport.RefusalTTL]. If it answers in HTTP/2, it is asked by prior knowledge.
// [Mode] changes this. Response.Proto tells what a response came over. Requests to https
// origins, through a proxy and with an Upgrade field of their own go to [Transport.Base].
//
// A request with a body does not carry the offer, unless it is within
// [Transport.MaxUpgradeBodyBytes]: an "OPTIONS /" goes before it. A request that says
// something of its connection, by Close or a Connection field, stays on HTTP/1.1, unless
// the mode is [ModePriorKnowledge] or the server speaks HTTP/2 only.
//
// # gRPC
//
// Clients of gRPC begin by prior knowledge, so a server of grpc-go, which is a handler, or a
// handler of connect-go can stand behind [ConfigureServer] and [NewHandler]. For REST on the same
// port there are two ways.
//
// [Server.Split] parts connections: it makes two listeners of one, of which any HTTP/2 server
// takes the first, and an [http.Server] the other.
//
//	s := &h2c.Server{DisableUpgrade: true} // REST clients that offer it stay with REST
//	http2, http1 := s.Split(l)
//	go grpcServer.Serve(http2)
//	go http.Serve(http1, mux)
//
// grpc-go then serves its connections itself, and all HTTP/2 is its. With upgrades on, that
// includes what clients offer to upgrade, and grpc-go answers 415 to what is not gRPC. On a port
// for gRPC alone leave them on, and http1 unused: requests over HTTP/1.1 are answered 426.
//
// [GRPC] parts requests, by their Content-Type, for one http.Server. It is the way where REST
// comes over HTTP/2, too, or where middleware must see every request.
//
// # Cancellation
//
// The context of a request on an HTTP/2 stream comes from the BaseContext and ConnContext
// of the server, and is cancelled when the stream is reset, the connection ends or the
// handler returns. It does not come from the HTTP/1.1 request that began the connection,
// stream 1 included.
//
// [Server.HandshakeTimeout] bounds the handshake. After it the timeouts of the [http.Server]
// hold, as net/http has them for HTTP/2: ReadTimeout and WriteTimeout for each stream,
// IdleTimeout for the connection. Deadlines set by [http.ResponseController] hold for the
// stream. None of the HTTP/1.1 exchange is left in force.
//
// To shut down, with [ConfigureServer], call [http.Server.Shutdown]: it sends GOAWAY, lets
// requests in progress finish, and waits for them. With [NewHandler], it sends GOAWAY too,
// but does not wait, so call [Server.Shutdown] after it. Neither cancels a context.
// [http.Server.Close], or with NewHandler [Server.Close], closes the connections at once,
// which does. A request whose connection cannot be handed over, because the server began to
// shut down in that moment, is served over HTTP/1.1, or with [EngineNetHTTP] answered 503,
// before any handler.
//
// With [Server.Split], shut down each of the two servers, and then call Server.Shutdown, for
// connections that neither has accepted. Where grpc-go is a handler, the http.Server drains its
// calls, too; GracefulStop of grpc-go would break them off.
//
// The context of a request to a [Transport] holds at every stage: while it waits for the
// offer of another one, for the 101 and for its response. The connection outlives it. Once
// connected, a server gets [Transport.HandshakeTimeout] for its first octet by prior
// knowledge or after a 101, and to answer an "OPTIONS /"; other waits for a server are bounded
// by the context and by ResponseHeaderTimeout of Base. [Transport.Close] breaks requests in progress,
// [Transport.CloseIdleConnections] does not.
//
// # Limitations
//
// A request is upgraded if its body has a Content-Length of at most
// [Server.MaxUpgradeBodyBytes], or if it has no body. The body is read before the 101, so
// on stream 1 the handler starts when it is complete.
//
// Under ConfigureServer, net/http recognises prior knowledge by itself. Such a connection is
// counted with its first request, and its octets are not counted. If
// DisablePriorKnowledge is set and upgrades are not off, it is closed with its first
// request, before the handler.
//
// Under NewHandler, handlers around it see the first request of a connection only, and
// their context values do not reach h. Their ResponseWriter must give access to
// [http.Hijacker]. Prior knowledge that the http.Server takes itself, by its Protocols, is
// not refused there, and not counted. A second preface on a connection is recognised on TCP
// and Unix sockets that net/http accepted itself; on others it is taken for a first one, or,
// where connections share one object as their LocalAddr, a first one for a second. Behind an
// [http.ServeMux] only offers come to it: that answers the target of a preface, "*", itself.
//
// Of an http.Server, SetKeepAlivesEnabled does not reach the engine of this library.
//
// Behind Split, the server that accepts from http2 is not known. So the body of an upgrade is
// bounded by the 65,535 octets of an initial window as well, and its header by
// [http.DefaultMaxHeaderBytes]. Of what follows an upgrade with a body, DATA waits while the
// server may have no window for it.
//
// Where the octets of a connection cannot be looked at before net/http reads them (it is no
// socket, or the system is not a Unix), ConfigureServer closes one that has brought neither
// a whole request head nor a client preface within HandshakeTimeout, silent ones included.
//
// A [Transport] knows a server that speaks HTTP/2 only by the frame that it answers
// HTTP/1.1 with. Some close without a word, net/http with nothing but UnencryptedHTTP2
// among them: for these there is [ModePriorKnowledge]. An answer of 400, 413 or 5xx to an
// offer may be due to it, and so may a connection that ends after the 101 without a response.
// So the request is sent once more without it, if its method is safe or it has an
// Idempotency-Key or X-Idempotency-Key. What net/http can send over HTTP/1.1 alone, such as a
// Host that is no host name, goes over that. HTTP/2 connections are not counted against MaxConnsPerHost,
// MaxIdleConns or MaxIdleConnsPerHost of Base, and another one is made when the streams of one
// are used up, whatever StrictMaxConcurrentRequests. If DisableKeepAlives of Base is set, nothing is
// offered: requests go over HTTP/1.1, but for [ModePriorKnowledge] and servers that are known
// to speak HTTP/2 only.
//
// # Security
//
// An Upgrade is meant for the next hop alone. A proxy that passes one on becomes a tunnel,
// past its own rules. So both Connection options are required
// (https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2.1), and a request that names a
// proxy is not upgraded unless [Server.AllowUpgrade] says so; see [DenyForwarded]. A proxy
// that passes on the whole offer and does not name itself cannot be told from a client:
// behind one, set DisableUpgrade. Handlers that must see every request, such as
// authentication, belong inside NewHandler.
//
// What a peer makes the package hold is bounded: the upgrade body by MaxUpgradeBodyBytes,
// the time of the handshake by HandshakeTimeout, HTTP2-Settings to 32 settings, and what
// Split looks at, beside that body, to 16 KiB. The rest is bounded by the http.Server, where
// most bounds are off unless set: on one that faces strangers set ReadHeaderTimeout and
// IdleTimeout at least, and ReadTimeout where requests are short.
//
// A [Transport] neither encrypts nor authenticates, as all of http. It sends no offer
// through a proxy that it knows of, and https never goes over a connection of its own.
// A 101 that it has not asked for, or that names another protocol, is an error and closes
// the connection. What a server can make it hold is bounded by Base, such as by
// MaxResponseHeaderBytes and HTTP2.
package h2c
