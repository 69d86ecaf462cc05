package local

import (
	"context"
	"strings"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/registry/registrytest"
	"github.com/tidegate/tidegate/tests/local/stack"
)

// bucketOf makes a bucket for one test, so that no other finds what it leaves.
func bucketOf(t *testing.T) blob.Store {
	t.Helper()
	client, name := s3.NewClient(local.Config()), strings.ToLower(stack.Name(t.Name()))
	if _, err := client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	return s3.New(client, name)
}

// The adapter and the local S3 together keep what blob.Store promises; the adapter alone is tested beside it.
func TestLocalS3IsAStore(t *testing.T) {
	store := bucketOf(t)
	blobtest.Run(t, func(*testing.T) blob.Store { return store })
}

func TestLocalS3IsARegistry(t *testing.T) {
	store := bucketOf(t)
	registrytest.Run(t, func(*testing.T) blob.Store { return store })
}

// The property test of the protocol on a store with a network before it: 12 writers, a quarter of all answers lost. Every transition that was asked for and
// not refused is applied once, and the log has no gap.
func TestStorm(t *testing.T) {
	store := bucketOf(t)
	short := func(ctx context.Context, d time.Duration) error { // the store is as far away as it is; waiting adds nothing to the test
		select {
		case <-ctx.Done():
		case <-time.After(min(d, 20*time.Millisecond)):
		}
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	outcome, err := registrytest.Play(ctx, store, registrytest.Game{
		Model: "storm", Seed: 1, Writers: 12, PerWriter: 8, Faults: blobtest.Storm(), Crashes: 0.1, Apply: registrytest.Protocol(short)})
	t.Log(outcome)
	if err != nil {
		t.Error(err)
	}
	if outcome.Asked < 12*8 || outcome.Injected["DropAnswers"] == 0 {
		t.Errorf("that was no storm: %s", outcome)
	}
}
