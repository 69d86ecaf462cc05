// Package batching runs the requests of many callers together: while a model
// runs, requests gather, and the next run takes them in one batch along the first
// dimension. A run of 64 rows costs far less than 64 runs of one.
//
// It knows no codec, no transport and no runtime. It stands between the handlers
// and inference: [Predictor] wraps what picks versions, and every version picked
// runs through the batcher of its model, number and digest.
//
//	p := batching.New(fleet, batching.Options{Settings: func(string) batching.Settings { return batching.Settings{MaxBatch: 64} }})
//	api := httpapi.New(p, recorder, observer, httpapi.Options{})
//
// Invariants:
//
//   - A caller gets exactly the outputs of its own rows, or an error. Only requests
//     of the same inputs (datatypes, shapes behind the first dimension) and outputs
//     are put together, and the first batch of a version is checked against runs of
//     single requests: a model whose rows depend on each other is not batched.
//   - Nothing waits when there is nothing to wait for: an idle instance runs a
//     request at once, in the caller's goroutine, on the caller's memory.
//   - A batch that fails is halved until the request at fault is alone.
//   - Who leaves early (deadline, connection lost) changes nothing for the others;
//     memory of a caller is not read after its Run has returned.
//   - At most MaxQueue requests wait. One more, or one that cannot be done by its
//     deadline as runs have been timed, is refused before it costs anything.
package batching

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

// Settings govern the batches of one model. Zero fields take the defaults.
type Settings struct {
	MaxBatch  int           // rows of a batch; 1 = requests run one by one
	MaxWait   time.Duration // longest wait for more rows once callers are known to be there; negative = none
	MaxQueue  int           // requests that may wait
	Instances int           // runs at the same time; they share the session's weights
}

// Defaults of Settings. MaxWait is a bound: what is waited is an eighth of the
// run before, because a wait must cost less than the run that it saves.
const (
	DefaultMaxBatch  = 64
	DefaultMaxWait   = 10 * time.Millisecond
	DefaultMaxQueue  = 1024
	DefaultInstances = 1
)

func (s Settings) withDefaults() Settings {
	if s.MaxBatch == 0 {
		s.MaxBatch = DefaultMaxBatch
	}
	if s.MaxWait == 0 {
		s.MaxWait = DefaultMaxWait
	}
	if s.MaxQueue == 0 {
		s.MaxQueue = DefaultMaxQueue
	}
	if s.Instances == 0 {
		s.Instances = DefaultInstances
	}
	return s
}

// Priority orders those who wait.
type Priority int

// The priorities. Low requests fill what room normal ones leave in a batch; after
// every eighth batch without any of them they come first once, so they never starve.
const (
	Normal Priority = iota
	Low
	priorities = iota
)

// ParsePriority reads "normal" or "low"; "" is Normal. Errors: InvalidArgument.
func ParsePriority(name string) (Priority, error) {
	switch strings.ToLower(name) {
	case "", "normal":
		return Normal, nil
	case "low":
		return Low, nil
	}
	return 0, fault.New(fault.InvalidArgument, "priority must be one of: normal, low")
}

type priorityKey struct{}

// WithPriority says at what priority the runs under ctx wait.
func WithPriority(ctx context.Context, p Priority) context.Context {
	if p == Normal {
		return ctx
	}
	return context.WithValue(ctx, priorityKey{}, p)
}

func priorityOf(ctx context.Context) Priority {
	p, _ := ctx.Value(priorityKey{}).(Priority)
	return min(max(p, Normal), priorities-1)
}

// settings is Settings as a person writes them.
type settings struct {
	MaxBatch  int      `json:"max_batch"`
	MaxWaitMS *float64 `json:"max_wait_ms"`
	MaxQueue  int      `json:"max_queue"`
	Instances int      `json:"instances"`
}

// bounds of what can be set; they keep a slip of the pen from taking all memory.
const (
	maxMaxBatch  = 1 << 16
	maxMaxQueue  = 1 << 20
	maxInstances = 256
	maxMaxWaitMS = 60_000
)

// ParseSettings reads {"<model>": {"max_batch", "max_wait_ms", "max_queue",
// "instances"}, …}; "*" stands for the models that are not named. "" is no
// settings. Errors: InvalidArgument with all faults.
func ParseSettings(text string) (of func(model string) Settings, err error) {
	read := map[string]settings{}
	if text = strings.TrimSpace(text); text != "" {
		dec := json.NewDecoder(bytes.NewReader([]byte(text)))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&read); err != nil {
			return nil, fault.Wrap(err, fault.InvalidArgument, "the batching settings must be JSON: {\"<model>\": {\"max_batch\", \"max_wait_ms\", \"max_queue\", \"instances\"}}")
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return nil, fault.New(fault.InvalidArgument, "the batching settings must be one JSON object")
		}
	}
	all := map[string]Settings{}
	var bad []fault.Violation
	for _, model := range slices.Sorted(maps.Keys(read)) {
		all[model] = read[model].check(model, &bad)
	}
	if len(bad) > 0 {
		return nil, fault.Invalid(bad...)
	}
	return func(model string) Settings {
		if s, ok := all[model]; ok {
			return s
		}
		return all["*"]
	}, nil
}

func (s settings) check(model string, bad *[]fault.Violation) Settings {
	within := func(field string, v, most int) {
		if v < 0 || v > most {
			*bad = append(*bad, fault.Violation{Path: fmt.Sprintf("batching[%q].%s", model, field), Problem: fmt.Sprintf("must be from 1 to %d", most)})
		}
	}
	within("max_batch", s.MaxBatch, maxMaxBatch)
	within("max_queue", s.MaxQueue, maxMaxQueue)
	within("instances", s.Instances, maxInstances)
	out := Settings{MaxBatch: s.MaxBatch, MaxQueue: s.MaxQueue, Instances: s.Instances}
	if ms := s.MaxWaitMS; ms != nil {
		if !(*ms >= 0 && *ms <= maxMaxWaitMS) {
			*bad = append(*bad, fault.Violation{Path: fmt.Sprintf("batching[%q].max_wait_ms", model), Problem: fmt.Sprintf("must be from 0 to %d", maxMaxWaitMS)})
		}
		out.MaxWait = time.Duration(*ms * float64(time.Millisecond))
		if *ms == 0 {
			out.MaxWait = -1
		}
	}
	return out
}
