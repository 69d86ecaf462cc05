package awsenv

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tidegate/tidegate/shared/fault"
)

// lambda is the part of Lambda's environment that matters here.
func lambda(more map[string]string) func(string) string {
	env := map[string]string{
		"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
	}
	for k, v := range more {
		env[k] = v
	}
	return func(name string) string { return env[name] }
}

// TestClientsUseTheEnvironment looks at what a real client sends.
func TestClientsUseTheEnvironment(t *testing.T) {
	var header http.Header
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		body, _ = io.ReadAll(r.Body)
	}))
	defer server.Close()
	// The SDK looks at the process's own environment for whether a general endpoint is set.
	t.Setenv("AWS_ENDPOINT_URL", "")
	t.Setenv("AWS_ENDPOINT_URL_S3", server.URL)
	cfg, err := Config(lambda(map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_S3": server.URL}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s3.NewFromConfig(cfg).PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("bucket"), Key: aws.String("key"), Body: strings.NewReader("content"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := header.Get("Authorization"); !strings.Contains(got, "Credential=AKIDEXAMPLE/") || !strings.Contains(got, "/eu-central-1/s3/") {
		t.Errorf("Authorization %q", got)
	}
	if header.Get("X-Amz-Security-Token") != "token" || header.Get("X-Amz-Checksum-Crc32") == "" || string(body) != "content" {
		t.Errorf("header %v, body %q", header, body)
	}
}

func TestEndpoints(t *testing.T) {
	tests := []struct {
		name    string
		env     map[string]string
		general string
		s3      string
	}{
		{"AWS's own", nil, "", ""},
		{"one for all", map[string]string{"AWS_ENDPOINT_URL": "http://all"}, "http://all", ""},
		{"one for a service", map[string]string{"AWS_ENDPOINT_URL_S3": "http://s3"}, "", "http://s3"},
		{"ignored", map[string]string{
			"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_S3": "http://s3", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
		}, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := Config(lambda(tt.env))
			if err != nil {
				t.Fatal(err)
			}
			if got := aws.ToString(cfg.BaseEndpoint); got != tt.general {
				t.Errorf("general endpoint %q, want %q", got, tt.general)
			}
			got := ""
			for _, source := range cfg.ConfigSources {
				got, _, _ = source.(endpoints).GetServiceBaseEndpoint(t.Context(), "S3")
			}
			if got != tt.s3 {
				t.Errorf("endpoint of S3 %q, want %q", got, tt.s3)
			}
		})
	}
	if got, ok, _ := (endpoints{lambda(map[string]string{"AWS_ENDPOINT_URL_COGNITO_SYNC": "u"})}).GetServiceBaseEndpoint(t.Context(), "Cognito Sync"); !ok || got != "u" {
		t.Errorf("a service id with a blank: %q, %v", got, ok)
	}
}

func TestNamesWhatIsMissing(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		_, err := Config(lambda(map[string]string{name: ""}))
		if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
