package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/rows"
)

// labelJob sends the rows of a file, several requests at once.
type labelJob struct {
	client *endpoint.Client
	model  string
	flags  feedbackFlags
	sent   func(accepted int)

	mu      sync.Mutex
	summary feedbackSummary
	rejects *json.Encoder
	failed  error
}

func (j *labelJob) run(ctx context.Context, src rows.Source) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slots := make(chan struct{}, j.flags.at)
	var requests sync.WaitGroup
	var reading error
	for first := 1; reading == nil && ctx.Err() == nil; {
		var batch []map[string]any
		batch, reading = j.cut(src)
		if len(batch) == 0 {
			break
		}
		from := first
		first += len(batch)
		slots <- struct{}{} // freed by requests, which all end
		requests.Go(func() {
			defer func() { <-slots }()
			if err := j.send(ctx, from, batch); err != nil {
				j.fail(fmt.Errorf("rows %d to %d: %w", from, from+len(batch)-1, err))
				cancel()
			}
		})
	}
	requests.Wait()
	switch {
	case j.failed != nil:
		return j.failed
	case reading != nil && !errors.Is(reading, io.EOF):
		return reading
	}
	return fault.Wrap(ctx.Err(), fault.Unavailable, "interrupted")
}

func (j *labelJob) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed == nil {
		j.failed = err
	}
}

// cut reads the rows of one request.
func (j *labelJob) cut(src rows.Source) (batch []map[string]any, err error) {
	for len(batch) < j.flags.batch {
		row, err := src.Next()
		if err != nil {
			return batch, err
		}
		if _, ok := row[j.flags.columns[labelMember]]; !ok && len(batch) == 0 {
			return batch, fault.New(fault.InvalidArgument, "the file has no column %q; name the one of the labels with --label", j.flags.columns[labelMember])
		}
		item := map[string]any{}
		for i, name := range members {
			cell, ok := row[j.flags.columns[i]]
			if text, isText := cell.(string); isText && text == "" || !ok || cell == nil {
				continue
			}
			if text, isText := cell.(string); isText && i == labelMember {
				cell = json.RawMessage(label.Cell(text).Append(nil))
			}
			item[name] = cell
		}
		batch = append(batch, item)
	}
	return batch, nil
}

func (j *labelJob) send(ctx context.Context, first int, batch []map[string]any) error {
	body, err := json.Marshal(map[string]any{"labels": batch})
	if err != nil {
		return fault.Wrap(err, fault.InvalidArgument, "a label cannot be written as JSON; NaN and infinite numbers cannot be labels")
	}
	taken, err := j.client.Feedback(ctx, j.model, body)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	sum := &j.summary
	sum.Rows += len(batch)
	sum.Accepted += taken.Accepted
	sum.Rejected += len(taken.Rejected)
	sum.Retries += taken.Tries - 1
	for _, r := range taken.Rejected {
		row := rejectedRow{Row: first + r.Index, ID: r.ID, Error: r.Error}
		sum.First = append(sum.First, row)
		if j.rejects != nil {
			if err := j.rejects.Encode(row); err != nil {
				return fault.Wrap(err, fault.Unavailable, "the rejected rows cannot be written; is the disk full?")
			}
		}
	}
	slices.SortFunc(sum.First, func(a, b rejectedRow) int { return a.Row - b.Row })
	sum.First = sum.First[:min(len(sum.First), maxListed)]
	j.sent(sum.Accepted)
	return nil
}
