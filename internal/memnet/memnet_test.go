package memnet

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLatencyAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pipe(Options{Latency: time.Second}, 1)
		start := time.Now()
		io.WriteString(client, "one ")
		io.WriteString(client, "two")
		client.Close()
		b, err := io.ReadAll(server)
		if err != nil || string(b) != "one two" {
			t.Errorf("got %q, %v", b, err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v, want 1s", took)
		}
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pipe(Options{}, 1)
		server.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		server.SetReadDeadline(time.Time{})
		go func() {
			time.Sleep(time.Hour)
			client.Write([]byte("x"))
		}()
		if n, err := server.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("read after the deadline was lifted: %d, %v", n, err)
		}
		client.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := io.WriteString(client, strings.Repeat("x", 2*bufferSize))
		if n != bufferSize || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %d, %v", n, err)
		}
	})
}

func TestFaults(t *testing.T) {
	client, server := Pipe(Options{FailRead: 2, FailWrite: 1, MaxRead: 1}, 1)
	io.WriteString(client, "ab")
	b := make([]byte, 2)
	if n, err := server.Read(b); n != 1 || err != nil {
		t.Errorf("first read: %d, %v", n, err)
	}
	if _, err := server.Read(b); !errors.Is(err, ErrFault) {
		t.Errorf("second read: %v", err)
	}
	if _, err := server.Write(b); !errors.Is(err, ErrFault) {
		t.Errorf("first write: %v", err)
	}
}
