package examples_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"google.golang.org/grpc/interop/grpc_testing"

	"github.com/seed78dc1b7f/h2c"
)

// A reverse proxy with cleartext HTTP/2 on both of its sides. gRPC streams pass it as they
// come, in both directions at once, with the status in the trailers.
func Example_reverseProxy() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	backend := listen()
	gs := newGRPC()
	go gs.Serve(backend)

	// ModeAuto, the default, is for backends of which it is not known what they speak.
	tr := &h2c.Transport{Mode: h2c.ModePriorKnowledge, Base: new(http.Transport)}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: backend.Addr().String()})
		},
		Transport:     tr,
		FlushInterval: -1, // pass on each message at once
	}
	front := listen()
	hs := &http.Server{Handler: proxy}
	check(h2c.ConfigureServer(hs, nil))
	go hs.Serve(front)

	cc := dial(front.Addr().String())
	stream, err := grpc_testing.NewTestServiceClient(cc).FullDuplexCall(ctx)
	check(err)
	for _, text := range []string{"first", "second"} {
		check(stream.Send(&grpc_testing.StreamingOutputCallRequest{Payload: payload(text)}))
		out, err := stream.Recv() // while the request goes on
		check(err)
		fmt.Printf("%s\n", out.GetPayload().GetBody())
	}
	check(stream.CloseSend())
	if _, err := stream.Recv(); errors.Is(err, io.EOF) {
		fmt.Println("status OK")
	}

	check(cc.Close())
	check(hs.Shutdown(ctx))
	check(tr.Close())
	gs.GracefulStop()
	// Output:
	// first
	// second
	// status OK
}
