package lease

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/registry"
)

// Keeper grants leases.
type Keeper struct {
	Registry *registry.Registry
	Now      func() time.Time
	NewID    func() string // unique
}

// grace is by how much a lease outlives the time-out of its machine: clocks differ.
const grace = 2 * time.Minute

// Run does one action. Errors: InvalidArgument, the input; FailedPrecondition, renew
// by one who was overtaken; Unavailable and Aborted, repeat the call; Internal, a
// damaged document. That somebody else has the trigger or the lease is an answer.
func (k *Keeper) Run(ctx context.Context, in In) (Out, error) {
	if err := in.check(); err != nil {
		return Out{}, err
	}
	out := Out{Run: Digest(in.Model, in.Trigger)}
	now := k.Now().UTC().Truncate(time.Millisecond)
	switch in.Action {
	case ActionAcquire:
		if err := k.claim(ctx, &in, &out, now); err != nil || out.Status != "" {
			return out, err
		}
		return out, k.acquire(ctx, &in, &out, now)
	case ActionRenew:
		return out, k.renew(ctx, &in, &out, now)
	}
	return out, k.release(ctx, &in, &out, now)
}

// claim takes the trigger, or says whose it is.
func (k *Keeper) claim(ctx context.Context, in *In, out *Out, now time.Time) error {
	key := registry.TriggerKey(in.Machine, out.Run)
	return k.Registry.SwapRecord(ctx, key, func(stored []byte) (any, error) {
		out.Status, out.Holder, out.TakenOver = "", "", "" // of an earlier try
		mine := Claim{V: Version, Model: in.Model, Machine: in.Machine, Trigger: in.Trigger, Source: in.Source, Holder: in.Holder, Attempt: 1, At: now, Write: k.NewID()}
		if stored != nil {
			c, err := parseClaim(key, in.Model, in.Machine, stored)
			if err != nil {
				return nil, err
			}
			switch {
			case c.Holder == in.Holder && c.Outcome == "": // repeated
				out.Attempt = c.Attempt
				return nil, nil
			case c.Outcome == Succeeded || c.Outcome == Debounced:
				out.Status, out.Holder = Duplicate, c.Holder
				return nil, nil
			case c.Outcome == Failed || in.Seen.ended(c.Holder):
				mine.Attempt, out.TakenOver = c.Attempt+1, c.Holder
			case in.Seen != nil && in.Seen.Holder == c.Holder:
				out.Status, out.Holder = Duplicate, c.Holder
				return nil, nil
			default:
				out.Status, out.Holder = Held, c.Holder
				return nil, nil
			}
		}
		out.Attempt = mine.Attempt
		return mine, nil
	})
}

// acquire takes the lease for the holder of a trigger.
func (k *Keeper) acquire(ctx context.Context, in *In, out *Out, now time.Time) error {
	debounce, err := k.debounce(ctx, in)
	if err != nil {
		return err
	}
	err = k.Registry.SwapRecord(ctx, registry.LeaseKey(in.Model), func(stored []byte) (any, error) {
		l, err := parseLease(in.Model, stored)
		if err != nil {
			return nil, err
		}
		return k.grant(&l, in, out, debounce, now), nil
	})
	if err != nil || out.Status != Refrained {
		return err
	}
	return k.settle(ctx, in, out, Debounced)
}

// grant says what becomes of a lease when in asks for it; nil leaves it.
func (k *Keeper) grant(l *Lease, in *In, out *Out, debounce Debounce, now time.Time) any {
	out.Status, out.Holder, out.Gates, out.Reason = Acquired, "", nil, "" // of an earlier try
	expires := now.Add(time.Duration(in.Seconds)*time.Second + grace)
	if l.Holder == in.Holder && l.Trigger == out.Run { // repeated
		out.Epoch, out.ExpiresAt = l.Epoch, &l.ExpiresAt
		return nil
	}
	known := slices.ContainsFunc(l.Signals, func(s Signal) bool { return s.Trigger == out.Run })
	if !known {
		l.Signals = append(l.Signals, Signal{Trigger: out.Run, Machine: in.Machine, Source: in.Source, At: now})
		l.Signals = l.Signals[max(0, len(l.Signals)-maxSignals):]
	}
	next := func() any {
		l.V, l.Model, l.Write = Version, in.Model, k.NewID()
		return l
	}
	// A run that began and was stopped goes on: what let it begin is not asked again.
	begun := slices.ContainsFunc(l.Runs, func(r Run) bool { return r.Trigger == out.Run })
	if !begun && in.Source != SourcePerson {
		var reasons []string
		for _, g := range debounce.decide(l, in.Machine, now) {
			if g.Answer != gate.Yes {
				out.Status = Refrained
				reasons = append(reasons, g.Reason)
			}
			out.Gates = append(out.Gates, g)
		}
		if out.Status == Refrained {
			out.Reason = strings.Join(reasons, "; ")
			return next()
		}
		out.Gates = nil
	}
	if l.Holder != "" && !now.After(l.ExpiresAt) && !in.Seen.ended(l.Holder) && l.Holder != out.TakenOver {
		out.Status, out.Holder, out.ExpiresAt = Busy, l.Holder, &l.ExpiresAt
		if known {
			return nil
		}
		return next()
	}
	if l.Holder != "" {
		out.TakenOver = l.Holder
	}
	l.Epoch++
	l.Holder, l.Machine, l.Trigger, l.ExpiresAt = in.Holder, in.Machine, out.Run, expires
	l.Runs = append(l.Runs, Run{Epoch: l.Epoch, Machine: in.Machine, Holder: in.Holder, Trigger: out.Run, At: now})
	l.Runs = l.Runs[max(0, len(l.Runs)-maxRuns):]
	out.Epoch, out.ExpiresAt = l.Epoch, &expires
	return next()
}

// renew moves the end of a lease, never nearer.
func (k *Keeper) renew(ctx context.Context, in *In, out *Out, now time.Time) error {
	out.Status, out.Epoch = Renewed, in.Epoch
	expires := now.Add(time.Duration(in.Seconds)*time.Second + grace)
	return k.Registry.SwapRecord(ctx, registry.LeaseKey(in.Model), func(stored []byte) (any, error) {
		l, err := parseLease(in.Model, stored)
		if err != nil {
			return nil, err
		}
		if err := l.heldBy(in.Holder, in.Epoch); err != nil {
			return nil, err
		}
		out.ExpiresAt = &expires
		if !expires.After(l.ExpiresAt) {
			out.ExpiresAt = &l.ExpiresAt
			return nil, nil
		}
		l.ExpiresAt, l.Write = expires, k.NewID()
		return &l, nil
	})
}

// release gives the lease back and notes how the run ended, at the trigger too. Every
// exit of a machine calls it, so that it never fails for having been overtaken. A
// caller that never got the lease (epoch 0) releases its trigger.
func (k *Keeper) release(ctx context.Context, in *In, out *Out, now time.Time) error {
	out.Status, out.Epoch = Released, in.Epoch
	err := k.Registry.SwapRecord(ctx, registry.LeaseKey(in.Model), func(stored []byte) (any, error) {
		out.Status, out.Holder = Released, ""
		l, err := parseLease(in.Model, stored)
		if err != nil {
			return nil, err
		}
		mine := l.Holder == in.Holder && l.Trigger == out.Run && (l.Epoch == in.Epoch || in.Epoch == 0)
		if !mine {
			if l.Epoch > in.Epoch && in.Epoch > 0 {
				out.Status, out.Holder = Overtaken, l.Holder
			}
			return nil, nil
		}
		out.Epoch = l.Epoch
		for i := range l.Runs {
			if r := &l.Runs[i]; r.Epoch == l.Epoch {
				r.Ended, r.Outcome = now, Outcome(in.Outcome)
			}
		}
		l.Holder, l.Write = "", k.NewID()
		return &l, nil
	})
	if err != nil {
		return err
	}
	return k.settle(ctx, in, out, Outcome(in.Outcome))
}

// settle notes at the trigger how its run ended, unless another has taken it over.
func (k *Keeper) settle(ctx context.Context, in *In, out *Out, outcome Outcome) error {
	key := registry.TriggerKey(in.Machine, out.Run)
	return k.Registry.SwapRecord(ctx, key, func(stored []byte) (any, error) {
		if stored == nil {
			return nil, nil // it never claimed anything
		}
		c, err := parseClaim(key, in.Model, in.Machine, stored)
		if err != nil || c.Holder != in.Holder || c.Outcome != "" {
			return nil, err
		}
		c.Outcome, c.Write = outcome, k.NewID()
		return &c, nil
	})
}

// debounce is the policy in force.
func (k *Keeper) debounce(ctx context.Context, in *In) (Debounce, error) {
	s, _, err := k.Registry.State(ctx, in.Model)
	if fault.Is(err, fault.NotFound) || err == nil && s.SettingsDigest == "" {
		return DefaultDebounce(), nil
	}
	if err != nil {
		return Debounce{}, err
	}
	settings, err := k.Registry.Settings(ctx, in.Model, s.SettingsDigest)
	if err != nil {
		return Debounce{}, err
	}
	d, err := ParseDebounce(settings.Retrain)
	if err != nil {
		return d, fault.Wrap(err, fault.FailedPrecondition, "the retrain settings in force are not valid (%s); configure the model again", fault.Public(err).Message)
	}
	return d, nil
}
