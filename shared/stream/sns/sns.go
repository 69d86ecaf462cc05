// Package sns tells people: it publishes short texts to one SNS topic.
//
// It is not a bus for programs; those read events (stream/eventbridge).
//
//	topic := sns.New(awssns.NewFromConfig(cfg), "arn:aws:sns:eu-west-1:111122223333:drift")
//	err := topic.Publish(ctx, "Drift of flights: drift", "Model flights is now …")
package sns

import (
	"context"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/tidegate/tidegate/shared/fault"
)

const (
	maxSubject = 100       // characters, ASCII, of one line
	maxText    = 256 << 10 // bytes
)

// Topic is one topic.
type Topic struct {
	client *sns.Client
	arn    string
}

// New returns the topic with the given ARN.
func New(client *sns.Client, arn string) *Topic { return &Topic{client: client, arn: arn} }

// Publish sends a text. A subject that the service would refuse is made to fit.
// Errors: Unavailable (the SDK has tried again), Internal (a text that is too long).
func (t *Topic) Publish(ctx context.Context, subject, text string) error {
	if len(text) > maxText {
		return fault.New(fault.Internal, "the message for the topic has %d bytes, more than it takes", len(text))
	}
	subject = plain(subject)
	_, err := t.client.Publish(ctx, &sns.PublishInput{TopicArn: &t.arn, Subject: &subject, Message: &text})
	return fault.Wrap(err, fault.Unavailable, "the topic does not take the message; try again")
}

// plain keeps the printable ASCII of a subject and its first hundred characters.
func plain(subject string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r < 0x20 || r > 0x7e:
			return -1
		}
		return r
	}, subject)
	return strings.TrimSpace(s[:min(len(s), maxSubject)])
}
