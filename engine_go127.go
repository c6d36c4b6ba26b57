//go:build go1.27

package h2c

import "net/http"

func copyMaxHeaderValueCount(to, from *http.Server) {
	to.MaxHeaderValueCount = from.MaxHeaderValueCount
}
