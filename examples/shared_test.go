package examples_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop/grpc_testing"

	"github.com/seed78dc1b7f/h2c"
)

// echo is the gRPC service of the examples: what comes goes back.
type echo struct {
	grpc_testing.UnimplementedTestServiceServer
}

func (echo) UnaryCall(_ context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return &grpc_testing.SimpleResponse{Payload: in.GetPayload()}, nil
}

func (echo) FullDuplexCall(stream grpc_testing.TestService_FullDuplexCallServer) error {
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// newGRPC returns a server of grpc-go with echo and the health service.
func newGRPC() *grpc.Server {
	gs := grpc.NewServer()
	grpc_testing.RegisterTestServiceServer(gs, echo{})
	grpc_health_v1.RegisterHealthServer(gs, health.NewServer())
	return gs
}

// rest stands for a REST service: it tells what a request came over.
func rest(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, r.Method, "over", r.Proto)
}

// callAll makes a gRPC call, a health check, and a REST request that offers to upgrade.
func callAll(ctx context.Context, addr string) {
	cc := dial(addr)
	defer cc.Close()
	out, err := grpc_testing.NewTestServiceClient(cc).UnaryCall(ctx, &grpc_testing.SimpleRequest{Payload: payload("hello")})
	check(err)
	fmt.Printf("gRPC: %s\n", out.GetPayload().GetBody())
	state, err := grpc_health_v1.NewHealthClient(cc).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	check(err)
	fmt.Println("health:", state.GetStatus())

	tr := &h2c.Transport{Base: new(http.Transport)} // no proxy from the environment
	defer tr.Close()
	resp, err := (&http.Client{Transport: tr}).Get("http://" + addr)
	check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(err)
	fmt.Printf("REST: %s", body)
}

// dial returns a client of grpc-go. It connects with the first call, by prior knowledge.
func dial(addr string) *grpc.ClientConn {
	cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	return cc
}

func listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	return l
}

func payload(s string) *grpc_testing.Payload {
	return &grpc_testing.Payload{Body: []byte(s)}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// Examples stop what they start.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	for deadline := time.Now().Add(10 * time.Second); code == 0 && runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			log.Fatalf("goroutines are left:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
	}
	os.Exit(code)
}
