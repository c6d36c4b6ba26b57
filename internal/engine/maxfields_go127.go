//go:build go1.27

package engine

import "net/http"

func maxHeaderValueCount(hs *http.Server) int {
	if hs.MaxHeaderValueCount > 0 {
		return hs.MaxHeaderValueCount
	}
	return http.DefaultMaxHeaderValueCount
}
