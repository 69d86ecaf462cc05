package stack

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// BucketSettings are what a bucket of the stack must do besides holding objects. Those
// that the stack has made do; adopted ones may not.
type BucketSettings struct {
	Versioned bool
	Events    bool // it sends its events to EventBridge
}

// bucketSettings reads those of a bucket. The error is of AWS, for a person at a terminal.
func bucketSettings(ctx context.Context, client *awss3.Client, bucket string) (s BucketSettings, err error) {
	versioning, err := client.GetBucketVersioning(ctx, &awss3.GetBucketVersioningInput{Bucket: aws.String(bucket)})
	if err != nil {
		return s, awsFault(err, "the versioning of "+bucket+" cannot be read (s3:GetBucketVersioning)")
	}
	told, err := client.GetBucketNotificationConfiguration(ctx, &awss3.GetBucketNotificationConfigurationInput{Bucket: aws.String(bucket)})
	if err != nil {
		return s, awsFault(err, "the notifications of "+bucket+" cannot be read (s3:GetBucketNotification)")
	}
	return BucketSettings{versioning.Status == types.BucketVersioningStatusEnabled, told.EventBridgeConfiguration != nil}, nil
}
