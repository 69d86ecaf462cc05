package local

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// A move of the pointer reaches whoever listens on the bus, with nothing between but the log entry.
func TestStateChangeIsAnnounced(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	model := stack.Name(t.Name())
	queue := listen(t, "tidegate.registry", model)

	onnx, err := os.ReadFile(filepath.Join(stack.Root(), "shared", "inference", "onnx", "testdata", "affine.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	version, err := local.Serve(ctx, model, "regression", onnx)
	if err != nil {
		t.Fatal(err)
	}

	var event struct {
		Source     string `json:"source"`
		DetailType string `json:"detail-type"`
		Detail     struct {
			Model        string `json:"model"`
			Generation   int    `json:"generation"`
			TransitionID string `json:"transition_id"`
		} `json:"detail"`
	}
	receive(ctx, t, queue, &event)
	if event.Source != "tidegate.registry" || event.DetailType != "Model State Change" || event.Detail.Model != model ||
		event.Detail.Generation != 1 || event.Detail.TransitionID == "" {
		t.Errorf("the event of version %d is %+v", version, event)
	}
}

// listen makes a queue that gets what a source says of the model.
func listen(t *testing.T, source, model string) string {
	t.Helper()
	queues := sqs.NewFromConfig(local.Config())
	made, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("listen-" + model)})
	if err != nil {
		t.Fatal(err)
	}
	attributes, err := queues.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: made.QueueUrl, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameQueueArn}})
	if err != nil {
		t.Fatal(err)
	}
	bus := eventbridge.NewFromConfig(local.Config())
	pattern, err := json.Marshal(map[string]any{"source": []string{source}, "detail": map[string]any{"model": []string{model}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bus.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("listen-" + model), EventPattern: aws.String(string(pattern))}); err != nil {
		t.Fatal(err)
	}
	_, err = bus.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("listen-" + model),
		Targets: []eventtypes.Target{{Id: aws.String("queue"), Arn: aws.String(attributes.Attributes["QueueArn"])}}})
	if err != nil {
		t.Fatal(err)
	}
	return *made.QueueUrl
}

func receive(ctx context.Context, t *testing.T, queue string, into any) {
	t.Helper()
	queues := sqs.NewFromConfig(local.Config())
	err := stack.Eventually(ctx, func() (bool, error) {
		got, err := queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &queue, WaitTimeSeconds: 1})
		if err != nil || len(got.Messages) == 0 {
			return false, err
		}
		return true, json.Unmarshal([]byte(*got.Messages[0].Body), into)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An event that announce cannot serve ends in its dead-letter queue, not nowhere.
func TestWhatCannotBeAnnouncedIsKept(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	text, err := os.ReadFile(filepath.Join(stack.Root(), "events", "announce", "bad_absent.json"))
	if err != nil {
		t.Fatal(err)
	}
	event := strings.ReplaceAll(string(text), exampleBucket, local.Outputs["RegistryBucketName"])
	if err := local.InvokeLater(ctx, "announce", []byte(event)); err != nil {
		t.Fatal(err)
	}
	config, err := lambda.NewFromConfig(local.Config()).GetFunctionEventInvokeConfig(ctx, &lambda.GetFunctionEventInvokeConfigInput{
		FunctionName: aws.String(local.Outputs["AnnounceFunctionName"]), Qualifier: aws.String("$LATEST")})
	if err != nil {
		t.Fatal(err)
	}
	arn := *config.DestinationConfig.OnFailure.Destination
	queue, err := sqs.NewFromConfig(local.Config()).GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String(arn[strings.LastIndex(arn, ":")+1:])})
	if err != nil {
		t.Fatal(err)
	}
	var kept struct {
		RequestPayload struct {
			DetailType string `json:"detail-type"`
		} `json:"requestPayload"`
		ResponsePayload stack.FunctionError `json:"responsePayload"`
	}
	receive(ctx, t, *queue.QueueUrl, &kept)
	if kept.RequestPayload.DetailType != "Object Created" || kept.ResponsePayload.Type == "" {
		t.Errorf("the queue has %+v", kept)
	}
}
