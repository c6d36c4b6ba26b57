module github.com/seed78dc1b7f/h2c/interop

go 1.26.0

require (
	connectrpc.com/connect v1.21.1
	github.com/seed78dc1b7f/h2c v0.0.0
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.49.0
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

require (
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
)

replace github.com/seed78dc1b7f/h2c => ..
