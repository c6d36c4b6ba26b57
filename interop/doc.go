// Package interop proves the library against real peers: client processes that talk to
// servers of this library, and server processes that its Transport talks to, in the way that
// each peer happens to speak h2c.
//
// There is one file for each peer (peer_*.go: how it is found and started, and what its
// output means) and one test file for each group of cases; the servers have a table in
// transport_test.go. Tests carry the IDs of the
// requirements that they prove. A peer that is not installed is skipped, and the skip says
// so; with CI=true or H2C_REQUIRE_PEERS=1 it is a failure. install-peers.sh installs all of
// them.
package interop
