package main

import "github.com/seed78dc1b7f/h2c/interop/internal/matrix"

func grpcCells() []matrix.Cell { return nil }

var grpcDeviations []matrix.Deviation
