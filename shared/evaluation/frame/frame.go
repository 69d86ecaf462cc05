// Package frame keeps what a rollout freezes at its first look: the latency above
// which a request is slow, and the segments that are looked at apart. A bound that
// holds at any number of looks needs both to stay as they are; the reports of
// windows count by the same ones, so that both say the same of the same pairs.
package frame

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
)

// Version is the format that this package writes.
const Version = 1

// Frame is frame.json in the folder of a rollout (docs/formats/rollout.md).
type Frame struct {
	V          int       `json:"v"`
	Rollout    string    `json:"rollout_id"`
	SlowMicros int64     `json:"slow_us"`
	Column     string    `json:"column,omitempty"` // holds the values of Segments
	Segments   []string  `json:"segments,omitempty"`
	Requests   uint64    `json:"requests"` // of the champion, which slow_us is of
	At         time.Time `json:"at"`
}

// Folder is where the looks at a rollout keep what they know. Rollout ids are the
// callers' and may be anything; their digest is a name.
func Folder(model, rollout string) string {
	sum := sha256.Sum256([]byte(rollout))
	return "evaluations/" + model + "/trials/" + hex.EncodeToString(sum[:12]) + "/"
}

func key(model, rollout string) string { return Folder(model, rollout) + "frame.json" }

// Read reads the frame of a rollout, nil if there is none yet. Internal: it is
// damaged, of another rollout or of a newer format; else the error of the store.
func Read(ctx context.Context, store blob.Store, model, rollout string) (*Frame, error) {
	key := key(model, rollout)
	obj, err := store.Get(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("frame: read %s: %w", key, err)
	}
	var f Frame
	if err := json.Unmarshal(obj.Body, &f); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "%s is damaged", key)
	}
	switch {
	case f.V < 1 || f.Rollout != rollout:
		return nil, fault.New(fault.Internal, "%s is damaged, or of another rollout", key)
	case f.V > Version:
		return nil, fault.New(fault.Internal, "%s has format %d, this program reads up to %d; deploy the newer release", key, f.V, Version)
	}
	return &f, nil
}

// Freeze writes f unless there is a frame already, and returns the one that counts.
func (f *Frame) Freeze(ctx context.Context, store blob.Store, model string) (*Frame, error) {
	body, err := json.Marshal(f)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the frame of a rollout cannot be encoded")
	}
	key := key(model, f.Rollout)
	if _, err = store.Put(ctx, key, append(body, '\n'), blob.Once()); fault.Is(err, fault.FailedPrecondition) {
		return Read(ctx, store, model, f.Rollout)
	}
	if err != nil {
		return nil, fmt.Errorf("frame: write %s: %w", key, err)
	}
	return f, nil
}

// Apply makes a comparison count by the frame.
func (f *Frame) Apply(spec *comparison.Spec) {
	spec.SlowMicros, spec.Segments = f.SlowMicros, f.Segments
}
