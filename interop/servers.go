package main

import "github.com/seed78dc1b7f/h2c/interop/internal/matrix"

func serverCells() []matrix.Cell { return nil }

var serverDeviations []matrix.Deviation
