module github.com/seed78dc1b7f/h2c/cmd/h2c

go 1.26.0

require github.com/seed78dc1b7f/h2c v0.0.0

replace github.com/seed78dc1b7f/h2c => ../..
