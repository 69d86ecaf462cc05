// Package awsenv makes the aws.Config of a Lambda function from the environment
// that Lambda sets: region, the role's credentials and endpoints.
//
// It is not a general credential chain: no profiles, no shared files, no instance
// metadata, no web identity; programs for people (cmd/) use aws-sdk-go-v2/config.
// That package links the clients of sso, ssooidc, sts and signin; leaving it out takes
// 15 of the 24 ms of processor time that a function with S3 spends before its first
// call (docs/benchmarks.md).
//
//	cfg, err := awsenv.Config(os.Getenv)
//	client := s3.NewFromConfig(cfg)
package awsenv

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tidegate/tidegate/shared/fault"
)

// Config reads AWS_REGION (or AWS_DEFAULT_REGION), AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, and the endpoints AWS_ENDPOINT_URL and
// AWS_ENDPOINT_URL_<SERVICE>, which AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true turns
// off (AWS SDKs and Tools Reference Guide, "Service-specific endpoints").
//
// Lambda never changes the environment of a running process, so it is read once.
// Error: InvalidArgument, with the names of what is missing.
func Config(getenv func(string) string) (aws.Config, error) {
	credentials := aws.Credentials{
		AccessKeyID:     getenv("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    getenv("AWS_SESSION_TOKEN"),
		Source:          "environment",
	}
	region := getenv("AWS_REGION")
	if region == "" {
		region = getenv("AWS_DEFAULT_REGION")
	}
	var missing []fault.Violation
	for _, v := range []struct{ name, value string }{
		{"AWS_REGION", region}, {"AWS_ACCESS_KEY_ID", credentials.AccessKeyID}, {"AWS_SECRET_ACCESS_KEY", credentials.SecretAccessKey},
	} {
		if v.value == "" {
			missing = append(missing, fault.Violation{Path: v.name, Problem: "is not set; Lambda sets it for every function"})
		}
	}
	if len(missing) > 0 {
		return aws.Config{}, fault.Invalid(missing...)
	}
	cfg := aws.Config{
		Region:      region,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil }),
		// As config.LoadDefaultConfig resolves them.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	}
	if !strings.EqualFold(getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true") {
		if url := getenv("AWS_ENDPOINT_URL"); url != "" {
			cfg.BaseEndpoint = &url
		}
		cfg.ConfigSources = []any{endpoints{getenv}}
	}
	return cfg, nil
}

// endpoints is asked by every service client for its own endpoint, by the method
// name that aws-sdk-go-v2/internal/configsources fixes.
type endpoints struct{ getenv func(string) string }

// GetServiceBaseEndpoint returns AWS_ENDPOINT_URL_<SERVICE> of a service id such as "S3" or "Cognito Sync".
func (e endpoints) GetServiceBaseEndpoint(_ context.Context, service string) (string, bool, error) {
	url := e.getenv("AWS_ENDPOINT_URL_" + strings.ToUpper(strings.ReplaceAll(service, " ", "_")))
	return url, url != "", nil
}
