module github.com/seed78dc1b7f/h2c/interop

go 1.26.0

require (
	github.com/seed78dc1b7f/h2c v0.0.0
	golang.org/x/net v0.62.0
)

require golang.org/x/text v0.43.0 // indirect

replace github.com/seed78dc1b7f/h2c => ..
