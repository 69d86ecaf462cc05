package registry

import (
	"slices"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

// Kinds of transition; those of rollouts are in rollout.go.
const (
	KindBootstrap = "bootstrap"
	KindConfigure = "configure"
	KindRollback  = "rollback"
	KindFreeze    = "freeze"
	KindUnfreeze  = "unfreeze"
	KindReadmit   = "readmit"
)

// rollbackFreeze keeps the machines from moving traffic again before people have looked.
const rollbackFreeze = 24 * time.Hour

func refuse(format string, args ...any) error {
	return fault.New(fault.FailedPrecondition, format, args...)
}

// Bootstrap makes v the first champion. The caller has verified that v is READY
// and that its files have their digests, which never changes afterwards.
func Bootstrap(v Ref) Change {
	return Change{Kind: KindBootstrap, Creates: true, Apply: func(next *State, _ time.Time) error {
		if c := next.Slots.Champion; c != nil {
			return refuse("version %d is the champion already; a version replaces it through a rollout", c.Version)
		}
		next.Slots.Champion = &v
		return nil
	}}
}

// Configure puts the settings with the given digest in force. The caller has
// stored them. A rollout under way keeps the settings that it started with.
func Configure(digest string) Change {
	return Change{Kind: KindConfigure, Apply: func(next *State, _ time.Time) error {
		next.SettingsDigest = digest
		return nil
	}}
}

// Rollback takes version remove, which must be the champion, out of service: the
// previous champion serves again, any rollout ends, remove is rejected with the
// given reason, and the model is frozen for 24 hours. It asks for no analysis
// and works while frozen.
func Rollback(remove int, actor, reason string) Change {
	if reason == "" {
		reason = "rolled back"
	}
	return Change{Kind: KindRollback, Apply: func(next *State, now time.Time) error {
		champion, previous := next.Slots.Champion, next.Slots.Previous
		if champion.Version != remove {
			return refuse("version %d is not the champion, version %d is; name the version to remove", remove, champion.Version)
		}
		if previous == nil {
			return refuse("there is no previous champion to go back to")
		}
		next.Slots.Champion, next.Slots.Previous = previous, nil
		next.endRollout()
		next.reject(remove, reason)
		next.settle()
		// A longer freeze that stands already is kept.
		if until := now.Add(rollbackFreeze); next.Frozen == nil || next.Frozen.Until.Before(until) {
			next.Frozen = &Freeze{Until: until, By: actor, Reason: "rollback of version " + strconv.Itoa(remove)}
		}
		return nil
	}}
}

// FreezeUntil blocks start, advance and promote until the given time; abort and
// rollback still work. A later freeze replaces an earlier one.
func FreezeUntil(until time.Time, actor, reason string) Change {
	return Change{Kind: KindFreeze, Apply: func(next *State, now time.Time) error {
		if reason == "" {
			return refuse("a freeze needs a reason")
		}
		if !until.After(now) {
			return refuse("a freeze must end in the future")
		}
		next.Frozen = &Freeze{Until: until.UTC(), By: actor, Reason: reason}
		return nil
	}}
}

// Unfreeze lifts a freeze.
func Unfreeze(reason string) Change {
	return Change{Kind: KindUnfreeze, Apply: func(next *State, _ time.Time) error {
		if reason == "" {
			return refuse("lifting a freeze needs a reason")
		}
		if next.Frozen == nil {
			return refuse("the model is not frozen")
		}
		next.Frozen = nil
		return nil
	}}
}

// Readmit lets a rejected version take part in rollouts again.
func Readmit(version int, reason string) Change {
	return Change{Kind: KindReadmit, Apply: func(next *State, _ time.Time) error {
		key := strconv.Itoa(version)
		if reason == "" {
			return refuse("readmitting a version needs a reason")
		}
		if _, ok := next.Rejected[key]; !ok {
			return refuse("version %d is not among the %d rejected versions that the state remembers", version, len(next.Rejected))
		}
		delete(next.Rejected, key)
		return nil
	}}
}

// FrozenAt says whether a freeze is in force at now.
func (s *State) FrozenAt(now time.Time) bool { return s.Frozen != nil && now.Before(s.Frozen.Until) }

// Holds says whether any slot holds the version.
func (s *State) Holds(version int) bool {
	refs := []*Ref{s.Slots.Champion, s.Slots.Challenger, s.Slots.Shadow, s.Slots.Previous}
	return slices.ContainsFunc(refs, func(r *Ref) bool { return r != nil && r.Version == version })
}
