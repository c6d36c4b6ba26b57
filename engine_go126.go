//go:build !go1.27

package h2c

import "net/http"

// copyMaxHeaderValueCount does nothing: the field came with Go 1.27.
func copyMaxHeaderValueCount(_, _ *http.Server) {}
