package main

import "github.com/seed78dc1b7f/h2c/interop/internal/matrix"

func toolCells() []matrix.Cell { return nil }

var toolDeviations []matrix.Deviation
