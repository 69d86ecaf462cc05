package endpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Header names of the API, see docs/formats/http.md.
const (
	HeaderInferenceID = "Tidegate-Inference-Id"
	HeaderVersion     = "Tidegate-Model-Version"
	HeaderSlot        = "Tidegate-Slot"
	HeaderServedBy    = "Tidegate-Served-By"
	HeaderDigest      = "Tidegate-Model-Digest"
	HeaderKey         = "Tidegate-Key"
	headerJSONLength  = "Inference-Header-Content-Length"
)

// Metadata is the Open Inference Protocol's description of a model.
type Metadata struct {
	Name     string   `json:"name"`
	Versions []string `json:"versions"`
	Platform string   `json:"platform"`
	Inputs   []Spec   `json:"inputs"`
	Outputs  []Spec   `json:"outputs"`
}

// Spec is one tensor of the metadata; a dimension of -1 is free.
type Spec struct {
	Name     string          `json:"name"`
	Datatype tensor.Datatype `json:"datatype"`
	Shape    []int64         `json:"shape"`
}

// Metadata describes the version of model that serves, or the numbered one.
func (c *Client) Metadata(ctx context.Context, model string, version int) (Metadata, error) {
	answer, err := c.Do(ctx, Call{Method: http.MethodGet, Path: modelPath("/v2", model, version)})
	if err != nil {
		return Metadata{}, err
	}
	var m Metadata
	if err := json.Unmarshal(answer.Body, &m); err != nil {
		return m, fault.Wrap(err, fault.Internal, "the metadata of model %q is not JSON; is the endpoint a Tidegate API?", model)
	}
	return m, nil
}

// Ready says whether the API answers, and with how much delay.
func (c *Client) Ready(ctx context.Context) (time.Duration, error) {
	answer, err := c.Do(ctx, Call{Method: http.MethodGet, Path: "/v2/health/ready"})
	return answer.Latency, err
}

// ModelReady says whether the version that serves model is loaded and answers.
func (c *Client) ModelReady(ctx context.Context, model string) error {
	_, err := c.Do(ctx, Call{Method: http.MethodGet, Path: modelPath("/v2", model, 0) + "/ready"})
	return err
}

// Inference is one Open Inference Protocol request.
type Inference struct {
	Model     string
	Version   int    // 0: whichever version the routing picks
	RequestID string // echoed, and captured
	Key       string // sticky routing key
	Inputs    []tensor.Tensor
	Binary    bool // tensors as bytes, both ways
}

// Result is what was answered, and by whom.
type Result struct {
	ID       string // inference id: joins the capture and later the label
	Version  int
	Digest   string // of the version
	Slot     string
	ServedBy string
	Latency  time.Duration
	Tries    int
	Outputs  []tensor.Tensor // Infer
	Rows     []json.RawMessage
}

// Infer sends one request and decodes the answer's tensors.
func (c *Client) Infer(ctx context.Context, in Inference) (Result, error) {
	body, jsonLength := in.encode()
	header := http.Header{"Content-Type": {"application/json"}}
	if jsonLength != oip.AllJSON {
		header.Set("Content-Type", "application/octet-stream")
		header.Set(headerJSONLength, strconv.Itoa(jsonLength))
	}
	if in.Key != "" {
		header.Set(HeaderKey, in.Key)
	}
	answer, err := c.Do(ctx, Call{Method: http.MethodPost, Path: modelPath("/v2", in.Model, in.Version) + "/infer", Header: header, Body: body})
	if err != nil {
		return Result{}, err
	}
	result, err := c.resultOf(answer)
	if err != nil {
		return result, err
	}
	decoded, err := DecodeAnswer(answer.Header.Get(headerJSONLength), answer.Body)
	result.Outputs = decoded.Outputs
	if result.Version == 0 { // another server says it there
		result.Version = decoded.Version
	}
	return result, err
}

// Rows is one TensorFlow-Serving request in row form.
type Rows struct {
	Model     string
	Version   int
	Key       string
	Instances []map[string]any // column → value; nil is a missing value
}

// PredictRows sends one request of row objects. Result.Rows holds one prediction per instance.
func (c *Client) PredictRows(ctx context.Context, in Rows) (Result, error) {
	body, err := json.Marshal(map[string]any{"instances": in.Instances})
	if err != nil {
		return Result{}, fault.Wrap(err, fault.InvalidArgument, "the rows cannot be written as JSON; JSON has no NaN: send null")
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if in.Key != "" {
		header.Set(HeaderKey, in.Key)
	}
	answer, err := c.Do(ctx, Call{Method: http.MethodPost, Path: modelPath("/v1", in.Model, in.Version) + ":predict", Header: header, Body: body})
	if err != nil {
		return Result{}, err
	}
	result, err := c.resultOf(answer)
	if err != nil {
		return result, err
	}
	var doc struct {
		Predictions []json.RawMessage `json:"predictions"`
	}
	if err := json.NewDecoder(bytes.NewReader(answer.Body)).Decode(&doc); err != nil {
		return result, fault.Wrap(err, fault.Internal, "the predictions are not JSON; is the endpoint a Tidegate API?")
	}
	if len(doc.Predictions) != len(in.Instances) {
		return result, fault.New(fault.Internal, "%d rows were answered where %d were sent", len(doc.Predictions), len(in.Instances))
	}
	result.Rows = doc.Predictions
	return result, nil
}

func (c *Client) resultOf(a Answer) (Result, error) {
	r := Result{ID: a.Header.Get(HeaderInferenceID), Slot: a.Header.Get(HeaderSlot), ServedBy: a.Header.Get(HeaderServedBy), Digest: a.Header.Get(HeaderDigest),
		Latency: a.Latency, Tries: a.Tries}
	if r.ID == "" && !c.foreign {
		return r, fault.New(fault.Internal, "the answer has no header %s; is the endpoint a Tidegate API?", HeaderInferenceID)
	}
	if v := a.Header.Get(HeaderVersion); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			return r, fault.Wrap(err, fault.Internal, "the header %s of the answer is not a number", HeaderVersion)
		}
		r.Version = n
	}
	return r, nil
}

// modelPath is the path of a model in the API whose routes begin with root.
func modelPath(root, model string, version int) string {
	p := root + "/models/" + url.PathEscape(model)
	if version > 0 {
		p += "/versions/" + strconv.Itoa(version)
	}
	return p
}
