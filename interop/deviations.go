package main

import "github.com/seed78dc1b7f/h2c/interop/internal/matrix"

// deviations are what peers are known to do otherwise than their RFCs say.
var deviations []matrix.Deviation
