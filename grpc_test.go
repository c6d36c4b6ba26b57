package h2c_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed78dc1b7f/h2c"
)

func TestGRPC(t *testing.T) {
	handler := h2c.GRPC(text("grpc"), text("other"))
	for _, tt := range []struct {
		contentType string
		want        string
	}{
		{"application/grpc", "grpc"},
		{"application/grpc+proto", "grpc"},
		{"application/grpc+json", "grpc"},
		{"application/grpc;x", "grpc"},
		{"application/grpc; charset=utf-8", "grpc"},
		{"application/grpc ; x", "grpc"},
		{"application/grpc+proto; x", "grpc"},
		{"application/grpc ", "grpc"},
		{"Application/GRPC", "grpc"},
		{"APPLICATION/GRPC+PROTO", "grpc"},
		{"application/grpc-web", "other"},
		{"application/grpc-web+proto", "other"},
		{"application/grpc-web-text", "other"},
		{"application/grpcx", "other"},
		{"application/grpc/x", "other"},
		{"application/grp", "other"},
		{"application/connect+proto", "other"},
		{"application/json", "other"},
		{" application/grpc", "other"}, // not a field value
		{"x, application/grpc", "other"},
		{"", "other"},
	} {
		for proto, want := range map[int]string{1: "other", 2: tt.want, 3: "other"} {
			r := httptest.NewRequest("POST", "/", nil)
			r.ProtoMajor = proto
			if tt.contentType != "" {
				r.Header.Set("Content-Type", tt.contentType)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if got := w.Body.String(); got != want {
				t.Errorf("%q over HTTP/%d: went to %q, want %q", tt.contentType, proto, got, want)
			}
		}
	}
}

// Where a request has more than one Content-Type, the first counts, as it does to grpc-go.
func TestGRPC_twoContentTypes(t *testing.T) {
	r := httptest.NewRequest("POST", "/", nil)
	r.ProtoMajor = 2
	r.Header["Content-Type"] = []string{"application/json", "application/grpc"}
	w := httptest.NewRecorder()
	h2c.GRPC(text("grpc"), text("other")).ServeHTTP(w, r)
	if got := w.Body.String(); got != "other" {
		t.Errorf("went to %q", got)
	}
}

func TestGRPC_defaultServeMux(t *testing.T) {
	w := httptest.NewRecorder()
	h2c.GRPC(text("grpc"), nil).ServeHTTP(w, httptest.NewRequest("GET", "/no-such-path", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
}

// In every role, and in every way that a connection came to speak HTTP/2.
func TestGRPC_roles(t *testing.T) {
	const grpcFields = "Content-Type: application/grpc\n"
	handler := h2c.GRPC(text("grpc"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "other "+r.Proto)
	}))
	eachRole(t, func(t *testing.T, role role) {
		ts := serve(t, role, handler)
		c := ts.dial()
		c.send("POST / HTTP/1.1\nHost: h\nContent-Length: 0\n" + grpcFields + "\n")
		if _, body := c.want1(200); body != "other HTTP/1.1" {
			t.Errorf("over HTTP/1.1: %q", body)
		}
		c = ts.dial()
		c.send("POST / HTTP/1.1\nHost: h\nContent-Length: 0\n" + grpcFields + offerFields + "\n")
		c.wantSwitch()
		c.preface()
		if r := c.response(1); r.Body != "grpc" {
			t.Errorf("upgraded: %+v", r)
		}
		c.request(3, "/")
		if r := c.response(3); r.Body != "other HTTP/2.0" {
			t.Errorf("after an upgrade: %+v", r)
		}
		c = ts.dial()
		c.preface()
		c.requestFields(1, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "h", "content-type", "application/grpc")
		if r := c.response(1); r.Body != "grpc" {
			t.Errorf("prior knowledge: %+v", r)
		}
	})
}
