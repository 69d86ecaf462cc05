package local

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// begun is when the tests began: what lies in the buckets from before, such as the demo's, is not theirs. S3 tells the second.
var begun = time.Now().Truncate(time.Second)

// object is one of the data bucket.
type object struct {
	key, tag string
	content  []byte
}

// list reads the objects under a prefix that are of these tests.
func list(ctx context.Context, t *testing.T, prefix string) []object {
	t.Helper()
	all, err := listed(ctx, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// listed is list; known holds objects by key that are never written again, and so are read once.
func listed(ctx context.Context, prefix string, known *sync.Map) ([]object, error) {
	client, bucket := local.S3(), local.Outputs["DataBucketName"]
	var all []object
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			if o.LastModified.Before(begun) {
				continue
			}
			if known != nil {
				if found, ok := known.Load(*o.Key); ok {
					all = append(all, found.(object))
					continue
				}
			}
			got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: o.Key})
			if err != nil {
				return nil, err
			}
			content, err := io.ReadAll(got.Body)
			_ = got.Body.Close()
			if err != nil {
				return nil, err
			}
			read := object{*o.Key, aws.ToString(got.VersionId) + " " + *o.ETag, content}
			if all = append(all, read); known != nil {
				known.Store(*o.Key, read)
			}
		}
	}
	return all, nil
}
