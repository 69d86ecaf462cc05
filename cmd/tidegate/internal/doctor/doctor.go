// Package doctor examines a deployed stack: what can be read and written, whether
// the store compares and swaps, whether the API answers and can load every
// serving model, and whether pointers, logs and versions agree.
//
// It repairs nothing. What it writes lies under doctor/ of the registry bucket,
// where a lifecycle rule removes it.
//
// A check ends ok, in a warning (something to know or to do) or failed (the stack
// does not do its work, or would lose something). Later checks run even when
// earlier ones fail, so that one run tells everything.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// Status is how a check ended.
type Status string

// The statuses.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
)

// Check is one result.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
}

// API is what the examination asks of the prediction API.
type API interface {
	// Ready says whether the API can answer, and how long it took.
	Ready(ctx context.Context) (time.Duration, error)
	// ModelReady says whether the version that serves model is loaded and runs.
	ModelReady(ctx context.Context, model string) error
}

// Stack is what is examined.
type Stack struct {
	Registry blob.Store
	Data     blob.Store
	API      API
	Now      func() time.Time
	NewID    func() string
	// Buckets are those of the stack, by what they are called here.
	Buckets map[string]func(ctx context.Context) (versioned, events bool, err error)
}

// probeWriters and probeRounds are those with which the stores that passed, and
// those that did not, were found out (DESIGN §6).
const (
	probeWriters = 16
	probeRounds  = 10
)

// Run makes every check in order and hands each to report as it ends.
func (s *Stack) Run(ctx context.Context, report func(Check)) {
	report(s.readable(ctx, "registry bucket", s.Registry, "models/"))
	report(s.readable(ctx, "data bucket", s.Data, "captures/"))
	for _, name := range slices.Sorted(maps.Keys(s.Buckets)) {
		report(s.bucket(ctx, name))
	}
	report(s.absent(ctx))
	report(s.compareAndSwap(ctx))
	report(s.api(ctx))
	s.models(ctx, report)
}

func (s *Stack) readable(ctx context.Context, name string, store blob.Store, prefix string) Check {
	objects, bytes := 0, int64(0)
	const enough = 1000 // one page of the listing: this is a check, not a census
	for info, err := range store.List(ctx, prefix, "") {
		if err != nil {
			return failed(name, err, "cannot be listed; grant s3:ListBucket and s3:GetObject on it")
		}
		objects, bytes = objects+1, bytes+info.Size
		if objects == enough {
			return Check{name, OK, fmt.Sprintf("readable, over %d objects under %s", enough-1, prefix)}
		}
	}
	return Check{name, OK, fmt.Sprintf("readable, %d objects under %s, %d bytes", objects, prefix, bytes)}
}

// bucket checks what an adopted bucket may lack: without versions nothing is pinned, and
// without events nothing is announced, profiled, filed or judged.
func (s *Stack) bucket(ctx context.Context, name string) Check {
	versioned, events, err := s.Buckets[name](ctx)
	name += ": settings"
	switch {
	case err != nil:
		c := failed(name, err, "not known")
		c.Status = Warn // whoever examines may have fewer rights than the stack
		return c
	case !versioned:
		return Check{name, Fail, "it keeps no old versions of objects; turn that on: aws s3api put-bucket-versioning --bucket NAME --versioning-configuration Status=Enabled"}
	case !events:
		return Check{name, Fail, "it sends no events to EventBridge, so nothing that lands in it is worked on; add EventBridgeConfiguration to its notifications: aws s3api put-bucket-notification-configuration"}
	}
	return Check{name, OK, "it keeps old versions of objects, and sends its events to EventBridge"}
}

// absent checks the two answers that the protocol tells apart by kind.
func (s *Stack) absent(ctx context.Context) Check {
	const name = "absent keys"
	key := "doctor/absent-" + s.NewID()
	if _, err := s.Registry.Get(ctx, key); !fault.Is(err, fault.NotFound) {
		return failed(name, err, "reading an absent key does not answer 404; the role needs s3:ListBucket")
	}
	if _, err := s.Registry.Put(ctx, key, []byte("{}"), blob.Match(`"0123456789abcdef0123456789abcdef"`)); !fault.Is(err, fault.NotFound) {
		return failed(name, err, "If-Match on an absent key does not answer 404; this store cannot hold a registry")
	}
	return Check{name, OK, "reading answers 404, and so does If-Match"}
}

func (s *Stack) compareAndSwap(ctx context.Context) Check {
	const name = "compare and swap"
	r, err := blob.Probe(ctx, s.Registry, "doctor/cas-"+s.NewID(), probeWriters, probeRounds)
	if err != nil {
		return failed(name, err, "the probe under doctor/ failed")
	}
	detail := fmt.Sprintf("%d writers, %d rounds: one winner in %d, %d undecided", r.Writers, r.Rounds, r.Won, r.Undecided)
	if r.Won == 0 {
		return Check{name, Warn, detail + "; try again when the store is less busy"}
	}
	return Check{name, OK, detail}
}

func (s *Stack) api(ctx context.Context) Check {
	const name = "prediction API"
	took, err := s.API.Ready(ctx)
	if err != nil {
		return failed(name, err, "does not answer GET /v2/health/ready")
	}
	return Check{name, OK, fmt.Sprintf("ready, answered in %d ms", took.Milliseconds())}
}

func (s *Stack) models(ctx context.Context, report func(Check)) {
	reg := registry.New(s.Registry, registry.Options{Now: s.Now})
	n := 0
	for m, err := range reg.Models(ctx) {
		if err != nil {
			report(failed("models", err, "cannot be listed"))
			return
		}
		n++
		s.model(ctx, reg, m.Name, report)
	}
	if n == 0 {
		report(Check{"models", Warn, "there are none yet; register one with tidegate version register"})
	}
}

func (s *Stack) model(ctx context.Context, reg *registry.Registry, model string, report func(Check)) {
	name := "model " + model
	state, _, err := reg.State(ctx, model)
	if fault.Is(err, fault.NotFound) {
		report(Check{name, Warn, "has no champion; promote a version"})
		return
	}
	if err != nil {
		report(failed(name+": state", err, "cannot be read"))
		return
	}
	report(logCheck(ctx, reg, name+": log", state))
	s.versions(ctx, reg, name, state, report)
	if err := s.API.ModelReady(ctx, model); err != nil {
		report(failed(name+": serving", err, "the API cannot serve it"))
		return
	}
	report(Check{name + ": serving", OK, fmt.Sprintf("version %d is loaded and answers", state.Slots.Champion.Version)})
}

// logCheck walks the log: generations 1..n without a gap, the newest equal to the state.
func logCheck(ctx context.Context, reg *registry.Registry, name string, state registry.State) Check {
	next := int64(1)
	for entry, err := range reg.Log(ctx, state.Model, 1, state.Generation) {
		if err != nil {
			return failed(name, err, fmt.Sprintf("generation %d cannot be read", next))
		}
		if entry.Generation == state.Generation && entry.Last.ID != state.Last.ID {
			return Check{name, Fail, fmt.Sprintf("generation %d is another transition than the state's; somebody wrote state.json by hand", next)}
		}
		next++
	}
	switch missing := state.Generation - next + 1; {
	case missing == 1:
		return Check{name, Warn, fmt.Sprintf("generation %d is in the state and not yet in the log; the next transition logs it", state.Generation)}
	case missing > 1:
		return Check{name, Fail, fmt.Sprintf("generation %d is missing, the state is at %d; restore the object from the bucket's older versions", next, state.Generation)}
	}
	return Check{name, OK, fmt.Sprintf("%d generations, no gap, the newest is the state", state.Generation)}
}

// versions reads every byte of the versions that hold a slot.
func (s *Stack) versions(ctx context.Context, reg *registry.Registry, name string, state registry.State, report func(Check)) {
	seen := map[int]bool{}
	for _, r := range []*registry.Ref{state.Slots.Champion, state.Slots.Challenger, state.Slots.Shadow, state.Slots.Previous} {
		if r == nil || seen[r.Version] {
			continue
		}
		seen[r.Version] = true
		check := fmt.Sprintf("%s: version %d", name, r.Version)
		m, err := reg.Verify(ctx, state.Model, r.Version)
		switch {
		case err != nil:
			report(failed(check, err, "is not what its manifest says"))
		case m.Digest != r.Digest:
			report(Check{check, Fail, "its digest is not the one that the state names"})
		case !m.Parity.Checked:
			report(Check{check, Warn, fmt.Sprintf("%d files match their digests, %s; parity with the trainer was not checked", len(m.Files), m.Runtime)})
		default:
			report(Check{check, OK, fmt.Sprintf("%d files match their digests, %s, parity %.2g over %d rows", len(m.Files), m.Runtime, m.Parity.MaxAbsDiff, m.Parity.Rows)})
		}
	}
	if d := state.SettingsDigest; d != "" {
		if _, err := reg.Settings(ctx, state.Model, d); err != nil {
			report(failed(name+": settings", err, "the settings in force cannot be read"))
		}
	}
}

// failed tells what is wrong and, of a cause that is ours to show, why. The owner
// of the stack reads this, so internal faults are shown too.
func failed(name string, err error, what string) Check {
	var known *fault.Error
	if errors.As(err, &known) {
		what += ": " + known.Message
	}
	return Check{name, Fail, what}
}
