package main

import "github.com/seed78dc1b7f/h2c/interop/internal/matrix"

func clientCells() []matrix.Cell { return nil }

var clientDeviations []matrix.Deviation
