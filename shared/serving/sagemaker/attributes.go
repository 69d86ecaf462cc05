package sagemaker

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/batching"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/serving/rest"
)

const (
	attributesHeader = "x-amzn-sagemaker-custom-attributes"
	answerHeader     = "X-Amzn-Sagemaker-Custom-Attributes"
	// maxAttributes is SageMaker's bound of the header, in characters.
	maxAttributes = 1024
)

// attributes are what an invocation says about itself. Unknown ones are left to
// whoever else reads the header.
type attributes struct {
	model    string
	version  int // 0 = routed
	deadline time.Duration
	key      string
	priority batching.Priority
	trace    string // the trace's id
}

// parseAttributes reads "name=value;name=value". Errors: InvalidArgument with all faults.
func parseAttributes(text string) (a attributes, err error) {
	if len(text) > maxAttributes {
		return a, fault.Invalid(fault.Violation{Path: attributesHeader, Problem: "is longer than 1024 characters"})
	}
	var bad []fault.Violation
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		problem := ""
		switch name {
		case "model":
			a.model = value
		case "key":
			a.key = value
		case "trace":
			if a.trace = value; strings.Trim(value, "-abcdefABCDEF0123456789") != "" {
				a.trace = "" // nothing that belongs into a log
			}
		case "version":
			n, err := strconv.ParseUint(value, 10, 31)
			if a.version = int(n); err != nil || n == 0 {
				problem = "must be a number from 1"
			}
		case "deadline_ms":
			if a.deadline, err = rest.ParseMilliseconds(name, value); err != nil {
				problem = "must be a number of milliseconds from 1, in decimal digits"
			}
		case "priority":
			if a.priority, err = batching.ParsePriority(value); err != nil {
				problem = "must be one of: normal, low"
			}
		default:
			continue
		}
		if seen[name] {
			problem = "is there twice"
		}
		seen[name] = true
		if problem != "" {
			bad = append(bad, fault.Violation{Path: attributesHeader + "." + name, Problem: problem})
		}
	}
	if len(bad) > 0 {
		return a, fault.Invalid(bad...)
	}
	return a, nil
}

// context is ctx with the attributes' deadline and priority.
func (a *attributes) context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = batching.WithPriority(ctx, a.priority)
	if a.trace != "" {
		ctx = httpapi.WithTrace(ctx, a.trace)
	}
	if a.deadline == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, a.deadline)
}

// path is that of route for the model and version.
func (a *attributes) path(route string) string {
	p, end := "/v2/models/", "/infer"
	if route == predict {
		p, end = "/v1/models/", ":predict"
	}
	p += url.PathEscape(a.model)
	if a.version > 0 {
		p += "/versions/" + strconv.Itoa(a.version)
	}
	return p + end
}

// parameter is the value of a parameter of a media type, "" without it.
func parameter(parameters, name string) string {
	for part := range strings.SplitSeq(parameters, ";") {
		key, value, _ := strings.Cut(part, "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.ToLower(strings.Trim(strings.TrimSpace(value), `"`))
		}
	}
	return ""
}

// tell says in an answer who has computed it: SageMaker passes this header on, and no
// other of ours.
func tell(header httpapi.Header) {
	version := header["Tidegate-Model-Version"]
	if version == "" {
		return
	}
	header[answerHeader] = "version=" + version + ";digest=" + header["Tidegate-Model-Digest"] + ";served_by=" + header["Tidegate-Served-By"] + ";inference_id=" + header["Tidegate-Inference-Id"]
}
