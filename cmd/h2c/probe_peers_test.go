package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	//lint:ignore SA1019 It is a server that people have.
	xh2c "golang.org/x/net/http2/h2c"
)

// U-04, U-05, U-06, U-07, U-10: serve declines all that is malformed or forwarded.
func TestProbeServe(t *testing.T) {
	tests := map[string]struct {
		args []string
		want map[string]string
	}{
		"default": {nil, allVerdicts(declinedOK, map[string]string{
			"keep-alive": keptAlive, "upgrade-": upgradedOK, "upgrade-post-": declinedNo,
			"prior-knowledge": fromHTTP2, "settings-upgrade": "ok .*MAX_FRAME_SIZE", "settings-prior": "ok .*MAX_FRAME_SIZE",
			"proxy-tunnel": noProxy,
		})},
		"large bodies": {[]string{"-max-upgrade-body=1048576"}, allVerdicts(declinedOK, map[string]string{
			"keep-alive": keptAlive, "upgrade-": upgradedOK, "upgrade-post-chunked": declinedNo,
			"prior-knowledge": fromHTTP2, "settings-upgrade": "ok .*MAX_FRAME_SIZE", "settings-prior": "ok .*MAX_FRAME_SIZE",
			"proxy-tunnel": noProxy,
		})},
		"no upgrade": {[]string{"-upgrade=false"}, allVerdicts(declinedOK, map[string]string{
			"keep-alive": keptAlive, "upgrade-": declinedNo,
			"prior-knowledge": fromHTTP2, "settings-upgrade": "no not known", "settings-prior": "ok .*MAX_FRAME_SIZE",
			"proxy-tunnel": "ok no upgrade",
		})},
		"no prior knowledge": {[]string{"-prior-knowledge=false"}, allVerdicts(declinedOK, map[string]string{
			"keep-alive": keptAlive, "upgrade-": upgradedOK, "upgrade-post-": declinedNo,
			"prior-knowledge": "no closed$", "settings-upgrade": "ok .*MAX_FRAME_SIZE", "settings-prior": "no not known",
			"proxy-tunnel": noProxy,
		})},
		"forwarded": {[]string{"-allow-forwarded"}, allVerdicts(declinedOK, map[string]string{
			"keep-alive": keptAlive, "upgrade-": upgradedOK, "upgrade-post-": declinedNo,
			"prior-knowledge": fromHTTP2, "settings-upgrade": "ok .*MAX_FRAME_SIZE", "settings-prior": "ok .*MAX_FRAME_SIZE",
			"forwarded-":   "risk 101, then 200 on stream 1; through a proxy that passes this on, a tunnel$",
			"proxy-tunnel": noProxy,
		})},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t, test.args...)
			runProbe(t, probePatience, s.url).wantVerdicts(t, test.want)
		})
	}
}

// A path at which everything is an error is no obstacle.
func TestProbeErrorPage(t *testing.T) {
	s := start(t)
	runProbe(t, probePatience, s.url+"/status/404?x=%2f").wantVerdicts(t, allVerdicts(
		"ok declined: HTTP/1.1 404, as without the offer$", map[string]string{
			"keep-alive": "ok HTTP/1.1 404 for HEAD, 404 for GET$", "upgrade-": "ok 101, then 404 on stream 1$",
			"upgrade-options": upgradedOK, "upgrade-post-": "no HTTP/1.1 404$",
			"prior-knowledge": "ok 404", "settings-upgrade": "ok ", "settings-prior": "ok ", "proxy-tunnel": noProxy,
		}))
}

// Without keep-alive, the comparison with HTTP/1.1 has its own connection.
func TestProbeNoKeepAlive(t *testing.T) {
	hs := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	hs.Config.SetKeepAlivesEnabled(false)
	hs.Start()
	t.Cleanup(hs.Close)
	const declined = "declined: HTTP/1.1 200, connection closed$"
	runProbe(t, probePatience, hs.URL).wantVerdicts(t, allVerdicts("ok "+declined, map[string]string{
		"keep-alive": "no HTTP/1.1 200, then the connection is closed$",
		"upgrade-":   "no " + declined, "upgrade-second": "no no keep-alive$", "prior-knowledge": "no ",
		"settings-upgrade": "no not known", "settings-prior": "no not known", "proxy-tunnel": "ok no upgrade",
	}))
}

func probeDiscard(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }

// net/http takes prior knowledge if told to, and no offer.
func TestProbeNetHTTP(t *testing.T) {
	for _, prior := range []bool{false, true} {
		hs := httptest.NewUnstartedServer(http.HandlerFunc(probeDiscard))
		hs.Config.Protocols = new(http.Protocols)
		hs.Config.Protocols.SetHTTP1(true)
		hs.Config.Protocols.SetUnencryptedHTTP2(prior)
		hs.Start()
		t.Cleanup(hs.Close)
		want := map[string]string{
			"keep-alive": keptAlive, "upgrade-": declinedNo, "prior-knowledge": "no HTTP/1.1 200$", // PRI is a method like others
			"settings-upgrade": "no not known", "settings-prior": "no not known", "proxy-tunnel": "ok no upgrade",
		}
		if prior {
			want["prior-knowledge"], want["settings-prior"] = fromHTTP2, "ok .*MAX_FRAME_SIZE"
		}
		runProbe(t, probePatience, hs.URL).wantVerdicts(t, allVerdicts(declinedOK, want))
	}
}

// x/net's server upgrades without Connection: Upgrade, and through proxies; bad offers are
// errors there.
func TestProbeXNet(t *testing.T) {
	//lint:ignore SA1019 as above
	hs := httptest.NewServer(xh2c.NewHandler(http.HandlerFunc(probeDiscard), new(http2.Server)))
	t.Cleanup(hs.Close)
	p := runProbe(t, probePatience, hs.URL)
	const (
		refused  = "no HTTP/1.1 500, without the offer 200$"
		accepted = "note 101, then "
	)
	p.wantVerdicts(t, allVerdicts(refused, map[string]string{
		"keep-alive": keptAlive, "upgrade-": upgradedOK, "upgrade-options": declinedNo,
		"prior-knowledge": fromHTTP2, "settings-upgrade": "ok .*MAX_FRAME_SIZE", "settings-prior": "ok .*MAX_FRAME_SIZE",
		"no-connection": declinedOK, "no-upgrade-token": "risk 101", "no-settings-token": declinedOK,
		"settings-4-octets": accepted, "enable-push-2": accepted, "window-size-2-31": accepted,
		"frame-size-16383": accepted, "frame-size-2-24": accepted,
		"forwarded-": "risk 101", "proxy-tunnel": noProxy,
	}))
}

func TestProbeNghttpd(t *testing.T) {
	if _, err := exec.LookPath("nghttpd"); err != nil {
		if peersRequired() {
			t.Fatal("nghttpd is not installed, and CI=true")
		}
		t.Skip("nghttpd is not installed")
	}
	url := startNghttpd(t)
	const http2Only = "no answered in HTTP/2 frames$"
	runProbe(t, probePatience, url).wantVerdicts(t, allVerdicts(http2Only, map[string]string{
		"keep-alive": "no HEAD: answered in HTTP/2 frames$", "upgrade-": http2Only, "upgrade-post-large": "no (answered in HTTP/2|closed)",
		"upgrade-second": "no HEAD: answered in HTTP/2 frames$", "prior-knowledge": "ok 404 on stream 1$",
		"settings-upgrade": "no not known", "settings-prior": "ok MAX_CONCURRENT_STREAMS 100", "proxy-tunnel": "ok no upgrade",
	}))
}

// startNghttpd starts nghttpd, which must be told its port, with nothing to serve.
func startNghttpd(t *testing.T) (url string) {
	t.Helper()
	dir := t.TempDir()
	for range 5 { // something else may take the port
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		l.Close()
		cmd := exec.CommandContext(t.Context(), "nghttpd", "--no-tls", "-v", "-a", "127.0.0.1", "-d", dir, port)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		read := make(chan struct{})
		listening := make(chan bool, 1)
		go func() {
			defer close(read)
			for lines := bufio.NewScanner(out); lines.Scan(); {
				if strings.Contains(lines.Text(), "listen ") {
					select {
					case listening <- true:
					default:
					}
				}
			}
			close(listening)
		}()
		stop := func() { cmd.Process.Kill(); <-read; cmd.Wait() }
		if <-listening {
			t.Cleanup(stop)
			return "http://127.0.0.1:" + port
		}
		stop()
	}
	t.Fatal("nghttpd does not start")
	return ""
}

// A proxy that passes offers on is a risk, and it shows.
func TestProbeBlindProxy(t *testing.T) {
	s := start(t)
	p := runProbe(t, probePatience, blindProxy(t, s.url))
	p.wantVerdicts(t, allVerdicts(declinedOK, map[string]string{
		"keep-alive": keptAlive, "upgrade-": upgradedOK, "upgrade-post-": declinedNo, "prior-knowledge": "no ",
		"settings-upgrade": "ok .*MAX_FRAME_SIZE", "settings-prior": "no not known",
		"proxy-tunnel": `risk over HTTP/1.1 but not on stream 1: Via: "1.1 blind": the connection is a tunnel past the proxy$`,
	}))
}

// One that does not is none.
func TestProbeGoodProxy(t *testing.T) {
	s := start(t)
	p := runProbe(t, probePatience, start(t, "-proxy", s.url).url)
	if n := p.Count["risk"]; n != 0 {
		t.Errorf("%d risks: %+v", n, p.Rows)
	}
}

// blindProxy starts a proxy that passes requests on as they are, and adds Via to responses
// until there is a 101. Then it passes on octets.
func blindProxy(t *testing.T, backend string) (url string) {
	return probeListen(t, func(conn net.Conn) {
		back, err := net.Dial("tcp", strings.TrimPrefix(backend, "http://"))
		if err != nil {
			t.Error(err)
			return
		}
		defer back.Close()
		client, server := bufio.NewReader(conn), bufio.NewReader(back)
		for {
			req, err := http.ReadRequest(client)
			if err != nil || req.Method == "PRI" || req.Write(back) != nil {
				return
			}
			resp, err := http.ReadResponse(server, req)
			if err != nil {
				return
			}
			if resp.StatusCode == http.StatusSwitchingProtocols {
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n")
				resp.Header.Write(conn)
				io.WriteString(conn, "\r\n")
				break
			}
			resp.Header.Add("Via", "1.1 blind")
			if resp.Write(conn) != nil {
				return
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			io.Copy(back, client)
			back.Close()
		})
		io.Copy(conn, server)
		conn.Close()
		wg.Wait()
	})
}

// probeListen serves connections one by one in goroutines. At the end of the test, all must
// have come to their end.
func probeListen(t *testing.T, serve func(net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return "http://" + l.Addr().String()
}
