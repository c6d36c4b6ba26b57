package main

import "github.com/seed78dc1b7f/h2c/interop/internal/matrix"

// serverDeviations are what servers are known to do.
var serverDeviations = []matrix.Deviation{}
