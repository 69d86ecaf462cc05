// Package stack finds a deployed Tidegate and reaches its parts: the outputs of
// the CloudFormation stack, its two buckets as [blob.Store]s, and its step
// functions as typed calls.
//
// It is the wiring that the command line and the demo share. It knows nothing of
// predictions (see cmd/tidegate/endpoint) and changes the registry only by
// calling the functions that own it; what nothing refers to is removed by [garbage].
//
//	s, err := stack.Open(ctx, stack.Options{Name: "tidegate"})
//	var out RegisterOut
//	err = s.Invoke(ctx, s.RegisterFunctionName, in, &out)
package stack

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"github.com/oklog/ulid/v2"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/garbage"
)

// DefaultName is the stack that samconfig.toml deploys.
const DefaultName = "tidegate"

// stepTimeout is how long one Invoke may take: Lambda's own limit is 15 minutes,
// and the SDK's default client gives up on silence much earlier.
const stepTimeout = 15*time.Minute + 30*time.Second

// Options say which stack. Everything else is AWS's usual configuration:
// profile, region, credentials and AWS_ENDPOINT_URL.
type Options struct {
	Name     string // default DefaultName
	Region   string // overrides the configuration
	Endpoint string // overrides the ApiEndpoint output, e.g. a custom domain
}

// Stack is an opened stack. Its parts are fields, so that a test can put a stack
// together from stores in memory and a function of its own.
type Stack struct {
	Outputs
	Name     string
	Config   aws.Config
	Registry blob.Store
	Data     blob.Store
	Lambda   Invoker
	States   Machines
	// Garbage is the registry's bucket as shared/garbage needs it; only tidegate gc uses it.
	Garbage garbage.Bucket
	// Settings reads what a bucket does besides holding objects.
	Settings func(ctx context.Context, bucket string) (BucketSettings, error)
	// Bucket opens any other bucket, for sources that lie elsewhere.
	Bucket func(name string) blob.Store
	// NewID names uploads and transitions: unique and sortable by time (ULID).
	NewID func() string
	pause time.Duration // before the second try of a step; doubles
}

// Load reads AWS's configuration. Errors: InvalidArgument (a broken profile, no region).
func Load(ctx context.Context, region string) (aws.Config, error) {
	// The SDK would warn on standard error, of connections that it cannot use again for example, where one line
	// or one document of ours is expected.
	options := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return cfg, fault.Wrap(err, fault.InvalidArgument, "the AWS configuration cannot be read; check AWS_PROFILE and ~/.aws/config")
	}
	if cfg.Region == "" {
		return cfg, fault.New(fault.InvalidArgument, "no AWS region is set; set AWS_REGION, or a region in the profile, or --region")
	}
	return cfg, nil
}

// Open discovers the stack and makes its clients.
func Open(ctx context.Context, o Options) (*Stack, error) {
	cfg, err := Load(ctx, o.Region)
	if err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = DefaultName
	}
	outputs, err := Discover(ctx, cloudformation.NewFromConfig(cfg), o.Name)
	if err != nil {
		return nil, err
	}
	if o.Endpoint != "" {
		outputs.ApiEndpoint = o.Endpoint
	}
	return New(cfg, o.Name, outputs), nil
}

// New makes the clients of a stack whose outputs are known.
func New(cfg aws.Config, name string, outputs Outputs) *Stack {
	storage := s3.NewClient(cfg)
	bucket := func(name string) blob.Store { return s3.New(storage, name) }
	return &Stack{
		Outputs: outputs, Name: name, Config: cfg, Bucket: bucket, pause: 500 * time.Millisecond,
		Registry: bucket(outputs.RegistryBucketName),
		Data:     bucket(outputs.DataBucketName),
		Garbage:  s3.New(storage, outputs.RegistryBucketName),
		NewID:    func() string { return ulid.Make().String() },
		Settings: func(ctx context.Context, bucket string) (BucketSettings, error) {
			return bucketSettings(ctx, storage, bucket)
		},
		Lambda: lambda.NewFromConfig(cfg, func(lo *lambda.Options) {
			lo.HTTPClient = awshttp.NewBuildableClient().WithTimeout(stepTimeout).WithTransportOptions(func(t *http.Transport) {
				t.ResponseHeaderTimeout = stepTimeout
			})
			// A step that was sent is not sent again by the SDK: Invoke retries what is safe.
			lo.RetryMaxAttempts = 1
		}),
		States: sfn.NewFromConfig(cfg),
	}
}

// awsFault classifies an answer of an AWS control API for a person at a terminal.
func awsFault(err error, what string) error {
	var refused smithy.APIError
	if !errors.As(err, &refused) {
		if errors.Is(err, context.Canceled) {
			return fault.Wrap(err, fault.Unavailable, "interrupted")
		}
		return fault.Wrap(err, fault.Unavailable, "%s: AWS cannot be reached; check the network, credentials, region and AWS_ENDPOINT_URL", what)
	}
	switch code := refused.ErrorCode(); code {
	case "AccessDenied", "AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredToken",
		"ExpiredTokenException", "SignatureDoesNotMatch", "InvalidSignatureException", "MissingAuthenticationToken":
		return fault.Wrap(err, fault.PermissionDenied, "%s: AWS says %s; check the credentials and their policy", what, code)
	case "ResourceNotFoundException", "NoSuchBucket":
		return fault.Wrap(err, fault.NotFound, "%s: it does not exist; check the region, or deploy the stack again", what)
	case "TooManyRequestsException", "Throttling", "ThrottlingException":
		return fault.Wrap(err, fault.ResourceExhausted, "%s: AWS throttles; try again", what)
	case "ServiceException", "ServiceUnavailable", "InternalFailure":
		return fault.Wrap(err, fault.Unavailable, "%s: AWS says %s; try again", what, code)
	default:
		return fault.Wrap(err, fault.FailedPrecondition, "%s: AWS says %s", what, code)
	}
}
