package local

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/garbage"
	"github.com/tidegate/tidegate/shared/registry"
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

// What tidegate gc rests on, and that it may remove what was found when the clock is far ahead.
func TestLocalS3RemovesVersions(t *testing.T) {
	blobtest.RunVersions(t, func(t *testing.T) blobtest.Versioned { return versioned(t) })

	store := versioned(t)
	reg := registry.New(store, registry.Options{})
	put := func(body string) string {
		digest := fmt.Sprintf("%x", sha256.Sum256([]byte(body)))
		if err := reg.PutBlob(t.Context(), digest, strings.NewReader(body), int64(len(body))); err != nil {
			t.Fatal(err)
		}
		return digest
	}
	kept, lost := put("kept"), put("lost")
	if _, err := store.Put(t.Context(), "datasets/d/00000001.json", []byte(`{"sha256":"`+kept+`"}`), blob.Once()); err != nil {
		t.Fatal(err)
	}
	later := garbage.Collector{Bucket: store, Now: func() time.Time { return time.Now().Add(8 * 24 * time.Hour) }}
	report, err := later.Find(t.Context(), garbage.Options{})
	if err != nil || len(report.Garbage) != 1 || report.Garbage[0].Key != registry.BlobKey(lost) {
		t.Fatalf("%+v, %v", report, err)
	}
	if err := later.Delete(t.Context(), report, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.ReadBlob(t.Context(), lost); !fault.Is(err, fault.NotFound) {
		t.Errorf("the lost blob: %v", err)
	}
	if body, err := reg.ReadBlob(t.Context(), kept); err != nil || string(body) != "kept" {
		t.Errorf("the kept blob: %q, %v", body, err)
	}
	put("lost") // and once more
}

func versioned(t *testing.T) *s3.Store {
	t.Helper()
	client, name := s3.NewClient(local.Config()), strings.ToLower(stack.Name(t.Name()))
	if _, err := client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{Bucket: &name,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	return s3.New(client, name)
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
