package main

import (
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/grpc"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

var (
	grpcGo    = &peer.Peer{Name: "grpc-go", Says: func() string { return grpc.Version }}
	connectGo = &peer.Peer{Name: "connect-go", Says: func() string { return connect.Version }}
)

// A grpcRow is a client and a service, one of them at least over this library.
type grpcRow struct {
	peer, entry string
	needs       []*peer.Peer
	client      func(*grpcEnds)
	server      []grpcServer
	ids         []string
	transport   bool // the client is over Transport, and proves what the case has for one
	itself      bool // the server is grpc-go's own
}

// grpcRows are the rows of the table.
var grpcRows = []grpcRow{
	{
		peer: "grpc-go to grpc-go behind Split", entry: "prior knowledge",
		needs:  []*peer.Peer{grpcGo},
		client: byGRPCGo,
		server: []grpcServer{{"Split", behindSplit}},
		ids:    []string{"P-01"},
		itself: true,
	},
	{
		peer: "connect-go to grpc-go behind Split", entry: "upgrade",
		needs:     []*peer.Peer{connectGo, grpcGo},
		client:    byConnectGo(h2c.ModeAuto, connect.WithGRPC()),
		server:    []grpcServer{{"Split", behindSplit}},
		ids:       []string{"U-12", "U-14"},
		transport: true,
		itself:    true,
	},
	{
		peer: "connect-go to grpc-go behind Split", entry: "prior knowledge",
		needs:     []*peer.Peer{connectGo, grpcGo},
		client:    byConnectGo(h2c.ModePriorKnowledge, connect.WithGRPC()),
		server:    []grpcServer{{"Split", behindSplit}},
		ids:       []string{"P-01"},
		transport: true,
		itself:    true,
	},
	{
		peer: "grpc-go to grpc-go beside REST", entry: "prior knowledge",
		needs:  []*peer.Peer{grpcGo},
		client: byGRPCGo,
		server: besideREST(),
		ids:    []string{"P-01"},
	},
	{
		peer: "grpc-go to grpc-go handlers", entry: "prior knowledge",
		needs:  []*peer.Peer{grpcGo},
		client: byGRPCGo,
		server: behindOurs(grpcHandlers),
		ids:    []string{"P-01"},
	},
	{
		peer: "grpc-go to connect-go handlers", entry: "prior knowledge",
		needs:  []*peer.Peer{grpcGo, connectGo},
		client: byGRPCGo,
		server: behindOurs(connectHandlers),
		ids:    []string{"P-01"},
	},
	{
		peer: "connect-go to grpc-go handlers", entry: "upgrade",
		needs:     []*peer.Peer{connectGo, grpcGo},
		client:    byConnectGo(h2c.ModeAuto, connect.WithGRPC()),
		server:    behindOurs(grpcHandlers),
		ids:       []string{"U-12", "U-14"},
		transport: true,
	},
	{
		peer: "connect-go to grpc-go handlers", entry: "upgrade only",
		needs:     []*peer.Peer{connectGo, grpcGo},
		client:    byConnectGo(h2c.ModeUpgrade, connect.WithGRPC()),
		server:    behindOurs(grpcHandlers),
		ids:       []string{"U-12", "U-14"},
		transport: true,
	},
	{
		peer: "connect-go to grpc-go handlers", entry: "prior knowledge",
		needs:     []*peer.Peer{connectGo, grpcGo},
		client:    byConnectGo(h2c.ModePriorKnowledge, connect.WithGRPC()),
		server:    behindOurs(grpcHandlers),
		ids:       []string{"P-01"},
		transport: true,
	},
	{
		peer: "connect-go to a grpc-go server", entry: "found to be HTTP/2 only",
		needs:     []*peer.Peer{connectGo, grpcGo},
		client:    byConnectGo(h2c.ModeAuto, connect.WithGRPC()),
		server:    []grpcServer{{"Serve", grpcItself}},
		ids:       []string{"C-08"},
		transport: true,
		itself:    true,
	},
	{
		peer: "connect-go to a grpc-go server", entry: "prior knowledge",
		needs:     []*peer.Peer{connectGo, grpcGo},
		client:    byConnectGo(h2c.ModePriorKnowledge, connect.WithGRPC()),
		server:    []grpcServer{{"Serve", grpcItself}},
		transport: true,
		itself:    true,
	},
	{
		peer: "connect-go by Connect to connect-go handlers", entry: "upgrade",
		needs:     []*peer.Peer{connectGo},
		client:    byConnectGo(h2c.ModeAuto),
		server:    behindOurs(connectHandlers),
		ids:       []string{"U-12", "U-14"},
		transport: true,
	},
	{
		peer: "connect-go by gRPC-Web to connect-go handlers", entry: "upgrade",
		needs:     []*peer.Peer{connectGo},
		client:    byConnectGo(h2c.ModeAuto, connect.WithGRPCWeb()),
		server:    behindOurs(connectHandlers),
		ids:       []string{"U-12", "U-14"},
		transport: true,
	},
}

// behindOurs is a server of this library, either way, with handlers.
func behindOurs(handlers grpcHandler) []grpcServer {
	var servers []grpcServer
	for _, w := range origin.Ways {
		servers = append(servers, grpcServer{string(w), func(e *grpcEnds) { e.serveHTTP(w, handlers) }})
	}
	return servers
}

func grpcCells() []matrix.Cell {
	var all []matrix.Cell
	for _, row := range grpcRows {
		for _, c := range grpcCases {
			if c.itself && !row.itself {
				continue
			}
			ids := slices.Clone(row.ids)
			if row.transport {
				ids = append(ids, c.ids...)
			}
			all = append(all, matrix.Cell{
				Group: "gRPC", Peer: row.peer, Entry: row.entry, Case: c.name, IDs: ids, Needs: row.needs,
				Test: func(t *matrix.T) {
					for _, s := range row.server {
						t.Run(s.name, func(t *matrix.T) {
							e := newGRPCEnds(t, c.tuning)
							s.start(e)
							row.client(e)
							c.test(e)
							e.check()
						})
					}
				},
			})
		}
	}
	return append(all, portCells()...)
}

var grpcDeviations = portDeviations
