//go:build unix

package interop

// nghttpd speaks nothing but HTTP/2: it answers HTTP/1.1 by SETTINGS and closes.
var nghttpd = &program{
	peer: &peer{name: "nghttpd", files: installed("nghttpd"), probe: []string{"--version"}},
	args: []string{"--no-tls", "--address=127.0.0.1", "--htdocs={www}", "{port}"},
}

// nghttpx upgrades on its own, whatever is behind it, and sends the whole response before
// it has the client preface.
var nghttpx = &program{
	peer: &peer{name: "nghttpx", files: installed("nghttpx"), probe: []string{"--version"}},
	args: []string{
		"--conf=/dev/null", "--no-ocsp", "--workers=1",
		"--frontend=127.0.0.1,{port};no-tls", "--backend=127.0.0.1,{backend};;proto=h2",
	},
}
