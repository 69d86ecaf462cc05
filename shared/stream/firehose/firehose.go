// Package firehose sends records to an Amazon Firehose delivery stream.
//
// PutRecordBatch answers 200 also when it took only some of the records: each has
// an answer of its own. This adapter sends the refused ones again, and says in the
// end which were never taken. Delivery is at least once: a call whose answer was
// lost is sent again whole.
//
//	stream := firehose.New(awsfirehose.NewFromConfig(cfg), "captures")
//	failed, err := stream.Send(ctx, records)
package firehose

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/pause"
)

// Quotas of one PutRecordBatch (Firehose developer guide, "Quota"), and how often
// what was refused is sent again.
const (
	maxRecords = 500
	maxBytes   = 4 << 20
	tries      = 4
	maxWait    = 400 * time.Millisecond // of the full-jitter sleep before a try
)

// Stream is one delivery stream. It implements capture.Stream.
type Stream struct {
	client *firehose.Client
	name   string
	sleep  func(ctx context.Context, d time.Duration) error
}

// New returns the stream with the given name.
func New(client *firehose.Client, name string) *Stream {
	return &Stream{client: client, name: name, sleep: pause.For}
}

// Send delivers records in as few calls as the quotas allow. It returns the
// indexes of the records that were not taken, with the reason: Unavailable when
// the stream throttles or does not answer, Internal when it is not there or this
// role may not write to it. A failure of one call does not keep the others from
// being made, unless it is Internal.
func (s *Stream) Send(ctx context.Context, records [][]byte) (failed []int, err error) {
	for from := 0; from < len(records); {
		to, size := from, 0
		for to < len(records) && to-from < maxRecords && (to == from || size+len(records[to]) <= maxBytes) {
			size += len(records[to])
			to++
		}
		left, sendErr := s.batch(ctx, records, from, to)
		if sendErr != nil {
			failed, err = append(failed, left...), errors.Join(err, sendErr)
			if fault.Is(sendErr, fault.Internal) {
				for i := to; i < len(records); i++ {
					failed = append(failed, i)
				}
				break
			}
		}
		from = to
	}
	return failed, err
}

// batch delivers records [from, to) by one call, and by more for what it refuses.
func (s *Stream) batch(ctx context.Context, records [][]byte, from, to int) (left []int, err error) {
	for i := from; i < to; i++ {
		left = append(left, i)
	}
	for try := 1; ; try++ {
		in := &firehose.PutRecordBatchInput{DeliveryStreamName: &s.name, Records: make([]types.Record, len(left))}
		for k, i := range left {
			in.Records[k].Data = records[i]
		}
		refused, code, err := s.put(ctx, in, left)
		if err != nil {
			return left, err
		}
		if len(refused) == 0 {
			return nil, nil
		}
		left = refused
		if try == tries || s.sleep(ctx, rand.N(maxWait)) != nil {
			cause := fmt.Errorf("PutRecordBatch: %d of %d records refused: %s", len(left), to-from, code)
			return left, fault.Wrap(cause, fault.Unavailable, "the stream %s does not take all records now; try again", s.name)
		}
	}
}

// put makes one call. It returns those of the indexes whose record was refused,
// with the code of one of them. The SDK has retried what failed as a whole.
func (s *Stream) put(ctx context.Context, in *firehose.PutRecordBatchInput, indexes []int) (refused []int, code string, err error) {
	out, err := s.client.PutRecordBatch(ctx, in)
	if err != nil {
		return nil, "", s.classify(err)
	}
	if aws.ToInt32(out.FailedPutCount) == 0 {
		return nil, "", nil
	}
	if len(out.RequestResponses) != len(indexes) {
		return nil, "", fault.New(fault.Internal, "the stream %s answered %d records for %d", s.name, len(out.RequestResponses), len(indexes))
	}
	for k, r := range out.RequestResponses {
		if c := aws.ToString(r.ErrorCode); c != "" {
			refused, code = append(refused, indexes[k]), c
		}
	}
	return refused, code, nil
}

// classify tells a stream that cannot answer now from one that never will.
func (s *Stream) classify(err error) error {
	var answer interface{ HTTPStatusCode() int }
	var api interface{ ErrorCode() string }
	var throttled *types.ServiceUnavailableException
	switch {
	case errors.As(err, &throttled), errors.As(err, &api) && api.ErrorCode() == "ThrottlingException":
	case errors.As(err, &answer) && answer.HTTPStatusCode() >= 400 && answer.HTTPStatusCode() < 500:
		return fault.Wrap(err, fault.Internal, "the stream %s refused the records; check its name and the function's role", s.name)
	}
	return fault.Wrap(err, fault.Unavailable, "the stream %s does not answer; try again", s.name)
}
