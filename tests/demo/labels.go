package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/tests/demo/flights"
	"github.com/tidegate/tidegate/tests/demo/proof"
	"github.com/tidegate/tidegate/tests/demo/traffic"
)

// early is how many minutes after a flight's scheduled arrival labels are looked at first.
const early = 30

// judgeQuality lets the labels of April come in two parts, and looks at the model
// after each.
func (d *demo) judgeQuality(ctx context.Context, facts *Facts) error {
	arrived := func(f *flights.Flight) bool { return f.ArrDelay != nil }
	soon := traffic.Labels(d.sent, d.asked, func(f *flights.Flight) bool { return f.Landed(early) })
	rest := traffic.Labels(d.sent, d.asked, func(f *flights.Flight) bool { return arrived(f) && !f.Landed(early) })
	d.chapter("Let the first labels come")
	d.say("A label comes with the record of an arrival. %d minutes after the schedule %d of %d flights are on the ground: %.1f %% of them late, of all %.1f %%.",
		early, len(soon), len(d.asked), percentLate(soon), percentLate(append(soon[:len(soon):len(soon)], rest...)))
	if err := d.post(ctx, soon); err != nil {
		return err
	}
	first, err := d.evaluate(ctx, facts, len(soon))
	if err != nil {
		return err
	}
	for _, r := range first {
		if err := d.tellEarly(r); err != nil {
			return err
		}
	}
	d.chapter("Let the other labels come")
	never := len(d.asked) - len(soon) - len(rest)
	d.say("%d more labels, as one CSV file under labels/landed/files/%s/. %d flights were diverted: their label never comes.", len(rest), modelName, never)
	if err := d.drop(ctx, rest); err != nil {
		return err
	}
	second, err := d.evaluate(ctx, facts, len(soon)+len(rest))
	if err != nil {
		return err
	}
	for i, r := range second {
		if err := d.tellTruth(first[i], r); err != nil {
			return err
		}
	}
	return nil
}

func percentLate(labels []traffic.Label) float64 {
	late := 0
	for _, l := range labels {
		late += l.Label
	}
	return 100 * float64(late) / float64(max(1, len(labels)))
}

// post sends labels through the API, and waits until they are filed.
func (d *demo) post(ctx context.Context, labels []traffic.Label) error {
	client, err := d.client(ctx)
	if err != nil {
		return err
	}
	bodies, err := traffic.Batches(labels)
	if err != nil {
		return err
	}
	accepted := 0
	for _, body := range bodies {
		taken, err := client.Feedback(ctx, modelName, body)
		if err != nil {
			return fmt.Errorf("labels: %w", err)
		}
		if len(taken.Rejected) > 0 {
			return fmt.Errorf("%d labels are refused, the first because it %s", len(taken.Rejected), taken.Rejected[0].Error)
		}
		accepted += taken.Accepted
	}
	if accepted != len(labels) {
		return fmt.Errorf("%d labels were sent and %d accepted", len(labels), accepted)
	}
	d.say("%d labels in %d requests to POST /v1/feedback/%s.", accepted, len(bodies), modelName)
	return d.filed(ctx, labels)
}

// drop leaves labels as a file where ingest finds it, and waits until they are filed.
func (d *demo) drop(ctx context.Context, labels []traffic.Label) error {
	file := traffic.LabelFile(labels)
	_, err := d.Data.Put(ctx, "labels/landed/files/"+modelName+"/april-"+digest(file)[:8]+".csv", file, blob.Once())
	if err != nil && !fault.Is(err, fault.FailedPrecondition) {
		return err
	}
	return d.filed(ctx, labels)
}

func (d *demo) filed(ctx context.Context, labels []traffic.Label) error {
	ids := make([]string, len(labels))
	for i := range labels {
		ids[i] = labels[i].ID
	}
	bar := d.bar(len(ids), "filing labels")
	defer bar.Finish()
	w := proof.Filing{Store: d.Data, Model: modelName, Poll: time.Second, Patience: d.patience}
	return w.Wait(ctx, ids, func(left int) { bar.Set(len(ids) - left) })
}

// hours are the hours in which requests were answered, and the rows of each, as their ids tell.
func (d *demo) hours() (rows map[time.Time]int, err error) {
	rows = map[time.Time]int{}
	for i := range d.sent {
		if d.sent[i].Err != nil {
			continue
		}
		at, ok := label.TimeOf(d.sent[i].ID)
		if !ok {
			return nil, fmt.Errorf("the id %q of an answer has no time in it", d.sent[i].ID)
		}
		rows[at.UTC().Truncate(time.Hour)] += d.sent[i].Rows
	}
	if len(rows) == 0 {
		return nil, errors.New("no request was answered")
	}
	return rows, nil
}
