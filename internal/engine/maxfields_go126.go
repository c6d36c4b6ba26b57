//go:build !go1.27

package engine

import "net/http"

// maxHeaderValueCount returns 0, for no limit: the field came with Go 1.27.
func maxHeaderValueCount(*http.Server) int { return 0 }
