package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/tests/demo/flights"
	"github.com/tidegate/tidegate/tests/demo/proof"
	"github.com/tidegate/tidegate/tests/demo/traffic"
)

// planSeed fixes the order of request sizes, so that runs can be compared.
const planSeed = 2013

// predict sends April and proves that it was captured. The facts are filled in as
// far as it came; the error says what does not hold.
func (d *demo) predict(ctx context.Context, all []flights.Flight, facts *Facts) error {
	april := flights.Of(all, 4)
	usable := flights.Departed(april)
	d.chapter("Send April through the prediction API")
	d.say("%d flights were scheduled; %d can be asked about: %d were cancelled and never left the gate.", len(april), len(usable), len(april)-len(usable))
	d.say("%d more have no recorded arrival (diverted). Nobody knows that at the gate, so they are asked about; their label will never come.",
		len(usable)-len(flights.Arrived(usable)))
	client, err := d.client(ctx)
	if err != nil {
		return err
	}
	plan := traffic.Plan(len(usable), traffic.Mix{Singles: d.singles, Hundreds: d.hundreds}, planSeed)
	bar := d.bar(len(usable), "sending")
	start := time.Now()
	sender := traffic.Sender{Client: client, Model: modelName, Flights: usable, Concurrency: d.concurrency}
	sent := sender.Send(ctx, plan, func(s traffic.Sent) { bar.Add(s.Rows) })
	bar.Finish()
	d.sent, d.asked = sent, usable
	d.account(sent, time.Since(start), facts)
	finding, err := d.prove(ctx, sent, usable, start, facts)
	return errors.Join(err, failures(sent), verdict(finding, facts))
}

// client signs when there are credentials, as the stack's default authorization asks.
func (d *demo) client(ctx context.Context) (*endpoint.Client, error) {
	authorize := endpoint.Authorizer(endpoint.Open)
	if _, err := d.Config.Credentials.Retrieve(ctx); err == nil {
		authorize = endpoint.NewSigner(d.Config.Credentials, d.Config.Region, time.Now).Sign
	}
	return endpoint.New(d.ApiEndpoint, authorize)
}

// account counts what was sent and prints latency by form and size.
func (d *demo) account(sent []traffic.Sent, took time.Duration, facts *Facts) {
	byKind := map[string][]float64{}
	var every []float64
	retries := 0
	for _, s := range sent {
		facts.Sent.Requests++
		facts.Sent.Rows += s.Rows
		if s.Err != nil {
			facts.Errors++
			continue
		}
		ms := float64(s.Latency.Microseconds()) / 1000
		kind := fmt.Sprintf("%-10s  %s", s.Form, size(s.Rows))
		byKind[kind] = append(byKind[kind], ms)
		every = append(every, ms)
		retries += s.Tries - 1
	}
	facts.LatencyMS.P50, facts.LatencyMS.P99 = quantile(every, 0.5), quantile(every, 0.99)
	d.say("%d requests with %d rows in %.0f s, %d at once: %d errors, %d retries.", facts.Sent.Requests, facts.Sent.Rows, took.Seconds(), d.concurrency, facts.Errors, retries)
	d.say("Latency as the client sees it (every call of the local AWS costs about 50 ms of polling):")
	d.say("  %-10s  %-10s %8s %9s %9s", "form", "rows", "requests", "p50 ms", "p99 ms")
	for _, kind := range sortedKeys(byKind) {
		d.say("  %-22s %8d %9.1f %9.1f", kind, len(byKind[kind]), quantile(byKind[kind], 0.5), quantile(byKind[kind], 0.99))
	}
	d.say("  %-22s %8d %9.1f %9.1f", "all", len(every), facts.LatencyMS.P50, facts.LatencyMS.P99)
}

func size(rows int) string {
	if rows == 1 || rows == 100 || rows == 1000 {
		return fmt.Sprintf("%4d", rows)
	}
	return "rest"
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// quantile is the smallest value that at least q of all values do not exceed (nearest rank).
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(q * float64(len(sorted)))
	if float64(rank) < q*float64(len(sorted)) {
		rank++
	}
	return sorted[max(rank-1, 0)]
}

func (d *demo) prove(ctx context.Context, sent []traffic.Sent, fs []flights.Flight, since time.Time, facts *Facts) (proof.Finding, error) {
	d.chapter("Read the captures back from S3")
	ledger := proof.NewLedger(sent, fs)
	total := ledger.Left()
	bar := d.bar(total, "waiting for captures")
	c := proof.Collector{Store: d.Data, Since: since, Poll: time.Second, Patience: d.patience, Settle: 3 * time.Second}
	err := c.Collect(ctx, ledger, func(left int) { bar.Set(total - left) })
	bar.Finish()
	f := ledger.Finding()
	facts.Captured.Rows, facts.Captured.Missing, facts.Captured.Duplicates, facts.Captured.Mismatched = f.Rows, f.Missing, f.Duplicates, f.Mismatched
	d.say("%d rows sent, %d rows captured: %d missing, %d twice, %d with other inputs or another answer.", facts.Sent.Rows, f.Rows, f.Missing, f.Duplicates, f.Mismatched)
	return f, err
}

// failures names the first request that failed.
func failures(sent []traffic.Sent) error {
	for _, s := range sent {
		if s.Err != nil {
			return fmt.Errorf("a request of %d rows as %s failed: %w", s.Rows, s.Form, s.Err)
		}
	}
	return nil
}

// verdict holds the facts to what the story claims.
func verdict(f proof.Finding, facts *Facts) error {
	if f.OK() && facts.Captured.Rows == facts.Sent.Rows && facts.Errors == 0 {
		return nil
	}
	return fmt.Errorf("captured rows are not the rows sent: %s", f.First)
}
