package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/tidegate/tidegate/tests/bench/standin"
	"github.com/tidegate/tidegate/tests/bench/workload"
)

const (
	// settlingSwaps come before memory is looked at: the first changes grow the heaps to hold two models.
	settlingSwaps = 10
	// followWithin bounds the wait for a change of the pointer: 2.5 s of age, the load, a slow machine.
	followWithin = 30 * time.Second
)

// swaps has the server follow a bucket whose state moves to a new version again and
// again, while callers are busy, and looks at its memory. No request may fail.
func (b *bench) swaps(ctx context.Context) error {
	cloud, err := standin.Open()
	if err != nil {
		return err
	}
	defer cloud.Close()
	if err := workload.Register(cloud.S3, b.flights); err != nil {
		return err
	}
	env := append(cloud.Env(), "TIDEGATE_REGISTRY_BUCKET="+workload.RegistryBucket, "TIDEGATE_PRELOAD_MODELS="+b.flights.Name, "TIDEGATE_CAPTURE_STREAM="+workload.CaptureStream,
		"TIDEGATE_SWAPS_PER_MINUTE=1000", "AWS_REGION=eu-central-1", "AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench")
	s, err := startServer(ctx, b.o.program, b.o.library, "", env...)
	if err != nil {
		return err
	}
	busy, stop := context.WithCancel(ctx)
	var callers sync.WaitGroup
	failed := make(chan error, 4)
	for range cap(failed) {
		callers.Go(func() { failed <- b.ask(busy, s) })
	}
	err = b.move(cloud, s)
	stop()
	callers.Wait()
	for range cap(failed) {
		err = errors.Join(err, <-failed)
	}
	return errors.Join(err, s.stop())
}

// move moves the state as often as asked.
func (b *bench) move(cloud *standin.Cloud, s *server) error {
	for i := 1; i <= b.o.swaps+settlingSwaps; i++ {
		version := i + 1
		if err := errors.Join(workload.AddVersion(cloud.S3, b.flights, version), workload.Point(cloud.S3, b.flights, int64(version), version)); err != nil {
			return err
		}
		if err := b.followed(s, version); err != nil {
			return err
		}
		rss, err := s.rss()
		if err != nil {
			return err
		}
		switch i {
		case settlingSwaps:
			b.report.Swaps.Early = rss
		case b.o.swaps + settlingSwaps:
			b.report.Swaps.Late, b.report.Swaps.Requests = rss, b.o.swaps
		}
	}
	return nil
}

// followed waits until the server answers with a version.
func (b *bench) followed(s *server, version int) error {
	now := 0
	c, err := newCaller(s, "json", repeat(b.flights, 1), func(body []byte) (err error) { now, err = versionOf(body); return err }, nil)
	if err != nil {
		return err
	}
	defer func() { _ = c.close() }()
	for started := time.Now(); now != version; time.Sleep(20 * time.Millisecond) {
		if err := c.call(); err != nil {
			return fmt.Errorf("version %d: %w", version, err)
		}
		if time.Since(started) > followWithin {
			return fmt.Errorf("still version %d after %s, want %d", now, followWithin, version)
		}
	}
	return nil
}

// ask calls until ctx ends; versions may only go up.
func (b *bench) ask(ctx context.Context, s *server) error {
	last := 0
	c, err := newCaller(s, "json", repeat(b.flights, 1), func(body []byte) error {
		now, err := versionOf(body)
		if err == nil && now < last {
			err = fmt.Errorf("version %d after %d", now, last)
		}
		last = now
		return err
	}, nil)
	if err != nil {
		return err
	}
	defer func() { _ = c.close() }()
	for ctx.Err() == nil {
		if err := c.call(); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

func versionOf(body []byte) (int, error) {
	var answer struct {
		Version string `json:"model_version"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, err
	}
	return strconv.Atoi(answer.Version)
}
