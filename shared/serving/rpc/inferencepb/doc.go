// Package inferencepb is the generated Go code of inference.proto, the gRPC
// service of the Open Inference Protocol. The commands that made it are at the top of
// that file; nothing here is written by hand.
package inferencepb
