package blob

import (
	"context"
	"fmt"
	"sync"

	"github.com/tidegate/tidegate/shared/fault"
)

// ProbeReport is what [Probe] saw.
type ProbeReport struct {
	Rounds    int `json:"rounds"`
	Writers   int `json:"writers"`
	Won       int `json:"won"`       // rounds with exactly one winner
	Undecided int `json:"undecided"` // rounds in which every writer got 409, 503 or no answer
	Conflicts int `json:"conflicts"` // 409 answers
}

// Probe finds out whether store really compares and swaps: some stores check the
// condition and write in two steps, and then two writers win. In each round all
// writers try to replace the same content, the first time on an absent key; one
// at most may be told that it won, and then the store holds what it wrote. key
// must be unused; it keeps the last content.
//
// Two winners, or a winner whose content is not there, is an Internal error.
func Probe(ctx context.Context, store Store, key string, writers, rounds int) (ProbeReport, error) {
	report := ProbeReport{Writers: writers}
	for report.Rounds < rounds {
		cond := Once()
		switch obj, err := store.Get(ctx, key); {
		case err == nil:
			cond = Match(obj.ETag)
		case !fault.Is(err, fault.NotFound):
			return report, fmt.Errorf("blob: probe %s: %w", key, err)
		}
		errs := race(ctx, store, key, cond, writers, report.Rounds)
		report.Rounds++
		winner, winners, lost := -1, 0, 0
		for w, err := range errs {
			switch fault.KindOf(err) {
			case "":
				winner, winners = w, winners+1
			case fault.FailedPrecondition:
			case fault.Aborted:
				report.Conflicts++
			case fault.Unavailable:
				lost++
			default:
				return report, fmt.Errorf("blob: probe %s: %w", key, err)
			}
		}
		if winners == 0 {
			if lost == 0 && report.Conflicts == 0 {
				return report, fault.New(fault.Internal, "the store refused every one of %d concurrent writers of %s", writers, key)
			}
			report.Undecided++
			continue
		}
		obj, err := store.Get(ctx, key)
		if err != nil {
			return report, fmt.Errorf("blob: probe %s: %w", key, err)
		}
		if winners > 1 || string(obj.Body) != probeBody(report.Rounds-1, winner) {
			return report, fault.New(fault.Internal,
				"the store does not compare and swap: %d of %d concurrent writers of %s were told that they won; it cannot hold a registry", winners, writers, key)
		}
		report.Won++
	}
	return report, nil
}

func race(ctx context.Context, store Store, key string, cond Condition, writers, round int) []error {
	errs := make([]error, writers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			<-start
			_, errs[w] = store.Put(ctx, key, []byte(probeBody(round, w)), cond)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func probeBody(round, writer int) string {
	return fmt.Sprintf(`{"round":%d,"writer":%d}`, round, writer)
}
