// Package stack brings up the template on a local AWS for tests, by the same scripts/up that `make up` runs, and gives them what they need
// to talk to it. It is not a mock: functions run as the binaries that `sam build` made, and answer through the emulator's API Gateway.
//
// One instance serves a whole test run: call [Up] once in TestMain, hand the [Stack] to the tests, call [Stack.Down] at the end. Tests share
// the buckets, so each uses a model name of its own ([Name]).
package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Stack is a deployed template.
type Stack struct {
	Name     string            // of the CloudFormation stack
	Endpoint string            // base URL of the HTTP API
	AWS      string            // endpoint of every AWS service
	Region   string            //
	Outputs  map[string]string // of the CloudFormation stack
	Instance string            // folder in .local
}

// Root is the root folder of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}

// Up brings the instance up, or finds it up and current. Progress goes to standard error: a first run installs and compiles for minutes.
// TIDEGATE_TEST_INSTANCE names the instance (default "test").
func Up(ctx context.Context) (*Stack, error) {
	instance := os.Getenv("TIDEGATE_TEST_INSTANCE")
	if instance == "" {
		instance = "test"
	}
	up := exec.CommandContext(ctx, filepath.Join(Root(), "scripts", "up"), "--instance", instance)
	up.Stderr = os.Stderr
	if err := up.Run(); err != nil {
		return nil, fmt.Errorf("stack: scripts/up --instance %s: %w", instance, err)
	}
	text, err := os.ReadFile(filepath.Join(Root(), ".local", instance, "endpoint.json"))
	if err != nil {
		return nil, fmt.Errorf("stack: %w", err)
	}
	var file struct {
		AWS      string            `json:"aws_endpoint_url"`
		Endpoint string            `json:"api_endpoint"`
		Stack    string            `json:"stack"`
		Region   string            `json:"region"`
		Outputs  map[string]string `json:"outputs"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("stack: endpoint.json: %w", err)
	}
	return &Stack{Name: file.Stack, Endpoint: file.Endpoint, AWS: file.AWS, Region: file.Region, Outputs: file.Outputs, Instance: instance}, nil
}

// Down stops the instance and fails if a process of it is left. With TIDEGATE_TEST_KEEP set it leaves everything up, for the next run.
func (s *Stack) Down(ctx context.Context) error {
	if os.Getenv("TIDEGATE_TEST_KEEP") != "" {
		return nil
	}
	down := exec.CommandContext(ctx, filepath.Join(Root(), "scripts", "down"), "--instance", s.Instance)
	down.Stderr = os.Stderr
	if err := down.Run(); err != nil {
		return fmt.Errorf("stack: scripts/down --instance %s: %w", s.Instance, err)
	}
	left, err := s.Processes()
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("stack: %d processes are left after down: %s", len(left), strings.Join(left, "; "))
	}
	return err
}

// Processes lists the command lines of the instance's living processes: the emulator and the functions that it runs. Linux only: elsewhere it
// finds none.
func (s *Stack) Processes() ([]string, error) {
	folder, err := filepath.EvalSymlinks(filepath.Join(Root(), ".local", s.Instance))
	if err != nil {
		return nil, err
	}
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, file := range environments {
		environment, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(environment, []byte("TIDEGATE_INSTANCE="+folder+"\x00")) {
			continue
		}
		if command, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline")); err == nil && len(command) > 0 {
			found = append(found, strings.ReplaceAll(strings.Trim(string(command), "\x00"), "\x00", " "))
		}
	}
	return found, nil
}

// Config is for clients of any AWS service.
func (s *Stack) Config() aws.Config {
	return aws.Config{
		Region:       s.Region,
		BaseEndpoint: aws.String(s.AWS),
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
	}
}

// S3 is a client of the local S3.
func (s *Stack) S3() *s3.Client {
	return s3.NewFromConfig(s.Config(), func(o *s3.Options) { o.UsePathStyle = true })
}

// Upload puts an object into the registry bucket and returns its s3:// URI.
func (s *Stack) Upload(ctx context.Context, key string, body []byte) (string, error) {
	bucket := s.Outputs["RegistryBucketName"]
	_, err := s.S3().PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)})
	return "s3://" + bucket + "/" + key, err
}

// FunctionError is a function's failure: the error type is what a state machine would match.
type FunctionError struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

// Invoke calls a function (predict, register, …) with an event and waits. A failure inside the function is a *[FunctionError].
func (s *Stack) Invoke(ctx context.Context, verb string, event []byte) (json.RawMessage, error) {
	name, err := s.function(verb)
	if err != nil {
		return nil, err
	}
	out, err := lambda.NewFromConfig(s.Config()).Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: event})
	if err != nil {
		return nil, fmt.Errorf("stack: invoke %s: %w", verb, err)
	}
	if out.FunctionError != nil {
		failure := new(FunctionError)
		if err := json.Unmarshal(out.Payload, failure); err != nil {
			return nil, fmt.Errorf("stack: invoke %s: %w", verb, err)
		}
		return nil, failure
	}
	return out.Payload, nil
}

// InvokeLater queues an event for a function, as a rule would.
func (s *Stack) InvokeLater(ctx context.Context, verb string, event []byte) error {
	name, err := s.function(verb)
	if err != nil {
		return err
	}
	_, err = lambda.NewFromConfig(s.Config()).Invoke(ctx, &lambda.InvokeInput{
		FunctionName: &name, Payload: event, InvocationType: lambdatypes.InvocationTypeEvent})
	return err
}

func (s *Stack) function(verb string) (string, error) {
	output := strings.ToUpper(verb[:1]) + verb[1:] + "FunctionName"
	if s.Outputs[output] == "" {
		return "", errors.New("stack: there is no output " + output)
	}
	return s.Outputs[output], nil
}

// Call sends a request to the HTTP API. Path begins with a slash; header may be nil.
func (s *Stack) Call(ctx context.Context, method, path string, header map[string]string, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.Endpoint+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res, answer, err
}
