package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate/tidegate/tests/bench/workload"
)

const (
	// settlingSwaps come before the first measurement: the first changes grow the heap to hold two models.
	settlingSwaps = 5
	// followWithin bounds the wait for a change of the pointer: 2.5 s of age, the load, and a slow machine.
	followWithin = 30 * time.Second
	// pause between requests while a change is awaited; they must not be slowed by it.
	pause = 2 * time.Millisecond
	// afterSwap requests are sent before the memory is looked at.
	afterSwap = 50
)

// swap points the state at a new version, again and again, and sends requests all the while.
func (s *soaking) swap(ctx context.Context, n int, report *Report) error {
	var answers, followed []time.Duration
	for i := 1; i <= n+settlingSwaps; i++ {
		version := i + 1
		if err := workload.AddVersion(s.cloud.S3, s.model, version); err != nil {
			return err
		}
		if err := workload.Point(s.cloud.S3, s.model, int64(version), version); err != nil {
			return err
		}
		written := time.Now()
		for rest := afterSwap; rest > 0; {
			inv, err := s.send(ctx)
			if err != nil {
				return fmt.Errorf("soak: swap %d: %w", i, err)
			}
			answers = append(answers, inv.Answer)
			now, err := answeredBy(inv.Payload)
			switch {
			case err != nil:
				return fmt.Errorf("soak: swap %d: %w", i, err)
			case now != version && time.Since(written) > followWithin:
				return fmt.Errorf("soak: swap %d: still version %d after %s", i, now, followWithin)
			case now != version:
				time.Sleep(pause)
				continue
			}
			if rest == afterSwap {
				followed = append(followed, time.Since(written))
				if err := s.model.Check(inv.Payload); err != nil {
					return fmt.Errorf("soak: swap %d: %w", i, err)
				}
			}
			rest--
		}
		rss, err := s.fn.RSS()
		if err != nil {
			return err
		}
		if i >= settlingSwaps {
			report.RSSBySwaps = append(report.RSSBySwaps, Sample{After: i, RSS: rss})
		}
		if i%10 == 0 {
			fmt.Fprintf(os.Stderr, "soak: %d model changes, %.1f MB\n", i, float64(rss)/1e6)
		}
	}
	slices.Sort(answers)
	slices.Sort(followed)
	report.SwapAnswerP99US, report.SwapAnswerMaxUS = at(answers, 0.99), at(answers, 1)
	report.SwapFollowedSeconds = at(followed, 0.5) / 1e6
	report.RSSGrowthSwaps = growth(report.RSSBySwaps)
	return nil
}

// answeredBy is the model version that a JSON answer names.
func answeredBy(payload []byte) (int, error) {
	var r struct {
		StatusCode int    `json:"statusCode"`
		Body       string `json:"body"`
	}
	if err := json.Unmarshal(payload, &r); err != nil {
		return 0, err
	}
	if r.StatusCode != 200 {
		return 0, fmt.Errorf("status %d: %.300s", r.StatusCode, r.Body)
	}
	var answer struct {
		Version string `json:"model_version"`
	}
	if err := json.NewDecoder(strings.NewReader(r.Body)).Decode(&answer); err != nil {
		return 0, err
	}
	return strconv.Atoi(answer.Version)
}
