package clients

import (
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestCurlResponses(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"0.head": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" +
			"HTTP/2 103 \r\nlink: </style.css>\r\n\r\n" +
			"HTTP/2 200 \r\nx-two: 1\r\nx-two: 2\r\n\r\n" +
			"x-check: done\r\n",
		"0.body": "hello\n",
		"1.head": "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nDate: now\r\n\r\n",
		"1.body": "HTTP/1.1 200 OK\r\nDate: now\r\n\r\n", // that of --head
		"2.head": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stderr := "curl: (16) Error in the HTTP2 framing layer\n" +
		"\ntransfer 2 16 000 0 0 Error in the HTTP2 framing layer\n" +
		"\ntransfer 0 0 200 2 6 \n" +
		"\ntransfer 1 0 200 1.1 0 \n"
	got, err := curlResponses(dir, stderr, make([]*body, 3))
	if err != nil {
		t.Fatal(err)
	}
	const nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	want := []Response{
		{
			Proto: "HTTP/2.0", Status: 200, Interim: []int{101, 103},
			Header:  http.Header{"X-Two": {"1", "2"}},
			Switch:  http.Header{"Connection": {"Upgrade"}, "Upgrade": {"h2c"}},
			Trailer: http.Header{"X-Check": {"done"}},
			Early:   http.Header{"Link": {"</style.css>"}},
			Size:    6,
			SHA256:  "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
			Body:    []byte("hello\n"),
		},
		{
			Proto: "HTTP/1.1", Status: 200, Interim: []int{100},
			Header: http.Header{"Date": {"now"}},
			Switch: http.Header{}, Trailer: http.Header{}, Early: http.Header{},
			SHA256: nothing,
		},
		{
			Switch: http.Header{}, Trailer: http.Header{}, Early: http.Header{},
			SHA256: nothing,
			Err:    "exit 16: Error in the HTTP2 framing layer",
		},
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("response %d is\n%+v\nwant\n%+v", i, got[i], want[i])
		}
	}
}

func TestCurlSaysWhatIsUnknown(t *testing.T) {
	for _, stderr := range []string{"transfer \n", "transfer x 0 200 2 6\n", "transfer 1 0 200 2 6\n", "transfer -1 0 200 2 6\n"} {
		if _, err := curlResponses(t.TempDir(), stderr, make([]*body, 1)); err == nil {
			t.Errorf("%q is taken", stderr)
		}
	}
	for _, head := range []string{"HTTP/2\r\n", "HTTP/1.1 abc\r\n", "no field\r\n"} {
		if err := curlHead(head, new(Response)); err == nil {
			t.Errorf("%q is taken", head)
		}
	}
}
