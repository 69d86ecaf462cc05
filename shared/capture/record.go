// Package capture is the record of what went in and out of a prediction: one
// NDJSON line per request (or per slice of rows of a large one).
//
// It owns the format, the salted sampling decision, redaction and splitting by
// size. It does not send anything: shared/stream/firehose does. Readers
// deduplicate by (id, first_row, version, role), because delivery is at least
// once.
package capture

import (
	"time"

	"github.com/tidegate/tidegate/shared/registry"
)

// Version is the record format written.
const Version = 1

// Role says whether the record's outputs were the answer or were computed beside it.
type Role string

// The roles.
const (
	Served Role = "served"
	Paired Role = "paired"
)

// Record is one line. Inputs and Outputs are columns: arrays of row values by
// name, or {"shape","data"} for tensors of rank above 2, or {"shape","sha256"}
// above the size limit.
type Record struct {
	V          int            `json:"v"`
	ID         string         `json:"id"` // UUIDv7 inference id; row i is "<id>#i" when TotalRows > 1
	RequestID  string         `json:"request_id,omitempty"`
	TS         time.Time      `json:"ts"`
	Model      string         `json:"model"`
	Version    int            `json:"version"`
	Digest     string         `json:"digest"`
	Slot       registry.Slot  `json:"slot"`
	Role       Role           `json:"role"`
	Generation int64          `json:"generation"`
	RolloutID  string         `json:"rollout_id,omitempty"`
	Key        string         `json:"key,omitempty"`
	FirstRow   int            `json:"first_row"`
	Rows       int            `json:"rows"`
	TotalRows  int            `json:"total_rows"`
	Inputs     map[string]any `json:"inputs,omitempty"`
	Outputs    map[string]any `json:"outputs,omitempty"`
	Status     int            `json:"status"`
	ErrorKind  string         `json:"error_kind,omitempty"`
	LatencyUS  int64          `json:"latency_us"`
	ServedBy   string         `json:"served_by"`
	Sampled    float64        `json:"sampled"`
}
