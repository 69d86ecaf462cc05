// Package eventbridge sends events to an EventBridge bus.
//
// PutEvents answers 200 also when it took nothing: each entry has its own error.
// This adapter reports success only for an entry that the bus has taken.
//
//	bus := eventbridge.New(awseventbridge.NewFromConfig(cfg), "default")
//	err := bus.Emit(ctx, "tidegate.registry", "Model State Change", at, detail)
package eventbridge

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/pause"
)

const (
	tries = 4
	// maxWait bounds the full-jitter sleep before a try; a throttled bus needs some hundred milliseconds.
	maxWait = 400 * time.Millisecond
	// maxDetail is less than the 256 KB that one entry may have in all.
	maxDetail = 250 << 10
)

// Bus is one event bus.
type Bus struct {
	client *eventbridge.Client
	name   string
	sleep  func(ctx context.Context, d time.Duration) error
}

// New returns the bus with the given name or ARN.
func New(client *eventbridge.Client, name string) *Bus {
	return &Bus{client: client, name: name, sleep: pause.For}
}

// Emit publishes one event. An entry that the bus throttles or fails to take is
// sent again up to three times; then the error is Unavailable. What sending again
// does not mend is Internal. An event may be published twice, never not at all
// when Emit returns nil.
func (b *Bus) Emit(ctx context.Context, source, detailType string, at time.Time, detail any) error {
	body, err := json.Marshal(detail)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the event %q cannot be encoded", detailType)
	}
	if len(body) > maxDetail {
		return fault.New(fault.Internal, "the event %q has %d bytes, more than the bus takes", detailType, len(body))
	}
	in := &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		EventBusName: &b.name, Source: &source, DetailType: &detailType, Time: &at, Detail: aws.String(string(body)),
	}}}
	for try := 1; ; try++ {
		code, err := b.send(ctx, in)
		if err != nil || code == "" {
			return err
		}
		refused := fmt.Errorf("PutEvents: %s", code)
		if code != "ThrottlingException" && code != "InternalFailure" && code != "InternalException" {
			return fault.Wrap(refused, fault.Internal, "the event bus refused the event %q", detailType)
		}
		if try == tries || b.sleep(ctx, rand.N(maxWait)) != nil {
			return fault.Wrap(refused, fault.Unavailable, "the event bus does not take the event %q now; try again", detailType)
		}
	}
}

// send returns the code of the entry's own failure, "" when the bus took it. The
// SDK has retried what failed as a whole.
func (b *Bus) send(ctx context.Context, in *eventbridge.PutEventsInput) (code string, err error) {
	out, err := b.client.PutEvents(ctx, in)
	if err != nil {
		return "", fault.Wrap(err, fault.Unavailable, "the event bus does not answer; try again")
	}
	if len(out.Entries) != 1 {
		return "", fault.New(fault.Internal, "the event bus answered %d entries for one event", len(out.Entries))
	}
	return aws.ToString(out.Entries[0].ErrorCode), nil
}
