package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// A requestBody is what -d says is to be sent.
type requestBody struct {
	data []byte
	file string // instead of data; it is read as it is sent
	size int64
}

// body reads what -d names, unless it is a file that can be read again.
func (o *getOptions) body(stdin io.Reader) (b *requestBody, err error) {
	name, isFile := strings.CutPrefix(o.data, "@")
	switch {
	case !o.hasData:
		return nil, nil
	case o.data == "-":
		b = new(requestBody)
		b.data, err = io.ReadAll(stdin)
		return b, err
	case !isFile:
		return &requestBody{data: []byte(o.data)}, nil
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case info.Mode().IsRegular() && info.Size() > 0:
		return &requestBody{file: name, size: info.Size()}, nil
	}
	b = new(requestBody)
	b.data, err = os.ReadFile(name)
	return b, err
}

// request makes the request for a URL.
func (o *getOptions) request(ctx context.Context, u *url.URL, b *requestBody) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, o.method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "h2c")
	req.Header.Set("Accept", "*/*")
	if b != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if err := b.setBody(req); err != nil {
			return nil, err
		}
	}
	for name, values := range o.header {
		req.Header[name] = values
	}
	req.Host = o.header.Get("Host") // of the URL, if empty
	delete(req.Header, "Host")
	return req, nil
}

func (b *requestBody) setBody(req *http.Request) (err error) {
	switch {
	case b.file != "":
		req.ContentLength = b.size
		req.GetBody = func() (io.ReadCloser, error) { return os.Open(b.file) }
	case len(b.data) == 0:
		req.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
	default:
		req.ContentLength = int64(len(b.data))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.data)), nil }
	}
	req.Body, err = req.GetBody()
	return err
}
