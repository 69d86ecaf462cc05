package registrytest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tidegate/tidegate/shared/registry"
)

// Pick draws the next transition of a writer that has seen a state. id is unique.
type Pick func(rng *rand.Rand, seen registry.State, id string) registry.Change

// AnyKind draws transitions of every kind, most of them sensible for the state that
// was seen and one in five not: of a version that is rejected or serves already, of
// a rollout that has ended, from a wrong step, too early, while frozen. That other
// writers move on meanwhile makes many of the sensible ones illegal too.
func AnyKind(rng *rand.Rand, seen registry.State, id string) registry.Change {
	kinds := []string{registry.KindConfigure, registry.KindReadmit, registry.KindFreeze, registry.KindShadowStart, registry.KindShadowStop, registry.KindRollback}
	switch sensible := rng.IntN(5) > 0; {
	case !sensible:
		kinds = append(kinds, registry.KindBootstrap, registry.KindUnfreeze, registry.KindStart, registry.KindAdvance, registry.KindPause,
			registry.KindResume, registry.KindPromote, registry.KindAbort)
	case seen.Frozen != nil && rng.IntN(2) == 0:
		return registry.Unfreeze("test")
	case seen.Rollout == nil && rng.IntN(2) == 0:
		kinds = []string{registry.KindStart}
	case seen.Rollout != nil && seen.Rollout.Status == registry.Paused && rng.IntN(2) == 0:
		kinds = []string{registry.KindResume, registry.KindAbort}
	case seen.Rollout != nil && rng.IntN(4) > 0:
		kinds = []string{registry.KindAdvance, registry.KindAdvance, registry.KindPause, registry.KindPromote, registry.KindPromote, registry.KindAbort}
	}
	return draw(rng, kinds[rng.IntN(len(kinds))], seen, id)
}

// draw makes a change of one kind with arguments of which some are wrong.
func draw(rng *rand.Rand, kind string, seen registry.State, id string) registry.Change {
	v, rollout, step, weight, bake := ref(1+rng.IntN(30)), "of-nobody", rng.IntN(4), 1+rng.IntN(registry.MaxWeight), time.Duration(0)
	if r := seen.Rollout; r != nil && rng.IntN(8) > 0 {
		rollout, step = r.ID, r.Step
		weight = seen.Weights.Challenger + rng.IntN(500)
	}
	if rng.IntN(10) == 0 {
		bake = time.Hour // nobody waits so long here
	}
	switch kind {
	case registry.KindBootstrap:
		return registry.Bootstrap(v)
	case registry.KindReadmit:
		for text := range seen.Rejected { // any
			if _, err := fmt.Sscan(text, &v.Version); err == nil {
				break
			}
		}
		return registry.Readmit(v.Version, "test")
	case registry.KindFreeze:
		return registry.FreezeUntil(time.Now().Add(time.Hour), "test", "test")
	case registry.KindUnfreeze:
		return registry.Unfreeze("test")
	case registry.KindShadowStart:
		return registry.StartShadow(v)
	case registry.KindShadowStop:
		if s := seen.Slots.Shadow; s != nil {
			v = *s
		}
		return registry.StopShadow(v.Version)
	case registry.KindStart:
		return registry.StartRollout(v, id, "test", weight)
	case registry.KindAdvance:
		return registry.AdvanceRollout(rollout, step-rng.IntN(8)/7, bake, weight)
	case registry.KindPause:
		return registry.PauseRollout(rollout, "test")
	case registry.KindResume:
		return registry.ResumeRollout(rollout, "test", []time.Duration{time.Hour})
	case registry.KindPromote:
		return registry.Promote(rollout, step, bake)
	case registry.KindAbort:
		return registry.Abort(rollout, rng.IntN(2) == 0, "test")
	case registry.KindRollback:
		return registry.Rollback(seen.Slots.Champion.Version, "test", "")
	}
	return registry.Configure(digest(rng.IntN(1000)))
}
