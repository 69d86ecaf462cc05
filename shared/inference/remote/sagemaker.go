package remote

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sagemakerruntime"
	"github.com/aws/aws-sdk-go-v2/service/sagemakerruntime/types"
	"github.com/aws/smithy-go"

	"github.com/tidegate/tidegate/shared/oip"
)

// Invoker is what is needed of the SageMaker runtime: *sagemakerruntime.Client.
type Invoker interface {
	InvokeEndpoint(ctx context.Context, in *sagemakerruntime.InvokeEndpointInput, opts ...func(*sagemakerruntime.Options)) (*sagemakerruntime.InvokeEndpointOutput, error)
}

// sagemaker is the transport to a SageMaker endpoint. An invocation has no path and
// no header of ours: attributes say what is asked and who has answered.
type sagemaker struct {
	client              func() Invoker
	endpoint, component string
	of                  *Client
}

var errNoRuntime = errors.New("no SageMaker runtime is wired here")

// once keeps the SDK from trying again: how often, and whether, is for tries to say.
func once(o *sagemakerruntime.Options) { o.Retryer = aws.NopRetryer{} }

// send implements transport.
func (t *sagemaker) send(ctx context.Context, r *request, _ *memory) (reply, error) {
	client := t.client()
	if client == nil {
		return reply{}, &Failure{Reason: Denied, cause: errNoRuntime}
	}
	in := &sagemakerruntime.InvokeEndpointInput{
		EndpointName: &t.endpoint, Body: r.body, ContentType: aws.String("application/json"), CustomAttributes: aws.String(t.attributes(r)),
	}
	if r.jsonLength != oip.AllJSON {
		in.ContentType = aws.String(oip.SageMakerType + ";json-header-size=" + strconv.Itoa(r.jsonLength))
	}
	if t.component != "" {
		in.InferenceComponentName = &t.component
	}
	out, err := client.InvokeEndpoint(ctx, in, once)
	if err != nil {
		return refused(ctx, err)
	}
	got := reply{status: http.StatusOK, contentType: aws.ToString(out.ContentType), body: out.Body}
	if int64(len(got.body)) > t.of.owner.opt.MaxAnswer {
		return reply{}, &Failure{Reason: Garbage, Status: got.status, cause: errTooLarge}
	}
	for part := range strings.SplitSeq(aws.ToString(out.CustomAttributes), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "version":
			got.version = value
		case "digest":
			got.digest = value
		case "served_by":
			got.by = value
		}
	}
	return got, nil
}

// attributes are PROTOCOLS §6's: at most 1,024 characters of ASCII, which a model's
// name (256) and a trace id (64) leave room in.
func (t *sagemaker) attributes(r *request) string {
	b := append([]byte("model="), t.of.name...)
	if t.of.number > 0 {
		b = strconv.AppendInt(append(b, ";version="...), int64(t.of.number), 10)
	}
	if r.deadline > 0 {
		b = append(append(b, ";deadline_ms="...), milliseconds(r.deadline)...)
	}
	if r.low {
		b = append(b, ";priority=low"...)
	}
	if id := root(r.trace); id != "" {
		b = append(append(b, ";trace="...), id...)
	}
	return string(b)
}

// root is the id of the trace in a trace header, whose own separators an attribute
// cannot hold.
func root(header string) string {
	for part := range strings.SplitSeq(header, ";") {
		part = strings.TrimSpace(part)
		id, ok := strings.CutPrefix(part, "Root=")
		if !ok && !strings.Contains(header, "=") {
			id, ok = part, true
		}
		if ok && len(id) <= 64 && strings.Trim(id, "-abcdefABCDEF0123456789") == "" {
			return id
		}
	}
	return ""
}

// refused makes a reply or a failure of the SDK's error. A ModelError is the
// container's answer, whose status is in it: the SDK itself calls a container's 500
// the caller's fault. All other refusals are SageMaker's own, never of the rows.
func refused(ctx context.Context, err error) (reply, error) {
	var model *types.ModelError
	if errors.As(err, &model) {
		status := int(aws.ToInt32(model.OriginalStatusCode))
		if refuses(status) {
			return reply{status: status, body: []byte(aws.ToString(model.OriginalMessage))}, nil
		}
		if status < 400 || status > 599 { // the container died, or did not answer in time
			status = http.StatusInternalServerError
		}
		// Its message may hold what it was sent, so it is no cause that is logged.
		return reply{}, failed(status, 0, nil)
	}
	var api smithy.APIError
	if !errors.As(err, &api) || ctx.Err() != nil {
		var sent *smithy.CanceledError
		again := !errors.As(err, &sent) && connecting(err)
		return reply{}, broken(ctx, bare(err), again)
	}
	cause := errors.New(api.ErrorCode())
	switch api.ErrorCode() {
	case "ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded":
		return reply{}, &Failure{Reason: Throttled, Again: true, cause: cause}
	case (*types.ServiceUnavailable)(nil).ErrorCode():
		return reply{}, &Failure{Reason: NoCapacity, Again: true, cause: cause}
	case (*types.ModelNotReadyException)(nil).ErrorCode():
		return reply{}, &Failure{Reason: NoCapacity, cause: cause}
	case (*types.InternalFailure)(nil).ErrorCode(), (*types.InternalDependencyException)(nil).ErrorCode():
		return reply{}, &Failure{Reason: Failed, cause: cause}
	}
	var answered interface{ HTTPStatusCode() int }
	if errors.As(err, &answered) && answered.HTTPStatusCode() >= 500 {
		return reply{}, &Failure{Reason: Failed, cause: cause}
	}
	return reply{}, &Failure{Reason: Denied, cause: errors.New(api.ErrorCode() + ": " + api.ErrorMessage())}
}
