package httpapi

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// answerJSON answers a route that is not on the hot path.
func (x *exchange) answerJSON(status int, v any) Response {
	body, err := json.Marshal(v)
	if err != nil {
		return x.fail(fault.Wrap(err, fault.Internal, "httpapi: encode metadata"))
	}
	x.body = append(x.body[:0], body...)
	x.header["Content-Type"] = typeJSON
	return x.complete(status, false)
}

// serverMetadata answers GET /v2.
func (x *exchange) serverMetadata() Response {
	return x.answerJSON(200, struct {
		Name       string   `json:"name"`
		Version    string   `json:"version"`
		Extensions []string `json:"extensions"`
	}{x.api.opt.Name, x.api.opt.Version, []string{"binary_tensor_data"}})
}

// live answers GET /v2/health/live: who answers is alive.
func (x *exchange) live() Response { return x.answerJSON(200, map[string]bool{"live": true}) }

// ready answers GET /v2/health/ready. It needs no model.
func (x *exchange) ready(ctx context.Context) Response {
	return x.readiness(x.api.predictor.Ready(ctx) == nil)
}

// readiness is {"ready":bool}; clients read the status alone.
func (x *exchange) readiness(ready bool) Response {
	if ready {
		return x.answerJSON(200, map[string]bool{"ready": true})
	}
	x.obs.ErrorKind = string(fault.Unavailable)
	x.header["Retry-After"] = "1"
	return x.answerJSON(503, map[string]bool{"ready": false})
}

// versions returns the status of the route's versions: the one asked for, or all held in slots.
func (x *exchange) versions(ctx context.Context) ([]inference.VersionStatus, error) {
	status, err := x.api.predictor.Status(ctx, x.route.model)
	if err != nil {
		return nil, err
	}
	var held []inference.VersionStatus
	for _, v := range status.Versions {
		if (x.route.version == 0 || v.Number == x.route.version) && (x.route.slot == "" || slices.Contains(v.Slots, x.route.slot)) {
			held = append(held, v)
		}
	}
	if len(held) == 0 {
		return nil, fault.New(fault.NotFound, "model %q holds no such version in any slot; see GET /v2/models/%s", x.route.model, x.route.model)
	}
	return held, nil
}

// modelReady answers GET /v2/models/M[/versions/V]/ready. Without a version it speaks of the champion.
func (x *exchange) modelReady(ctx context.Context) Response {
	versions, err := x.versions(ctx)
	if fault.Is(err, fault.Unavailable) {
		x.obs.Cause = err
		return x.readiness(false)
	}
	if err != nil {
		return x.fail(err)
	}
	for _, v := range versions {
		if v.Ready && (x.route.version > 0 || slices.Contains(v.Slots, registry.Champion)) {
			return x.readiness(true)
		}
	}
	return x.readiness(false)
}

// signature picks the version that a metadata route speaks of and returns its
// schema. The champion stands for a model without a version.
func (x *exchange) signature(ctx context.Context) (inference.Version, error) {
	sel := inference.Selection{Model: x.route.model, Version: x.route.version, Slot: x.route.slot}
	if sel.Version == 0 && sel.Slot == "" {
		sel.Slot = registry.Champion
	}
	served, err := x.api.predictor.Pick(ctx, sel)
	if err != nil {
		return inference.Version{}, err
	}
	x.served = served // given back after the answer
	v := served.Version()
	x.obs.Version, x.obs.Slot = v.Number, string(v.Slot)
	return v, nil
}

// modelMetadata answers GET /v2/models/M[/versions/V].
func (x *exchange) modelMetadata(ctx context.Context) Response {
	v, err := x.signature(ctx)
	var held []inference.VersionStatus
	if err == nil {
		held, err = x.versions(ctx)
	}
	if err != nil {
		return x.fail(err)
	}
	type spec struct {
		Name     string          `json:"name"`
		Datatype tensor.Datatype `json:"datatype"`
		Shape    []int64         `json:"shape"`
	}
	list := func(specs []schema.Spec) []spec {
		out := make([]spec, len(specs))
		for i, s := range specs {
			out[i] = spec{s.Name, s.Datatype, append([]int64{}, s.Shape...)}
		}
		return out
	}
	body := struct {
		Name     string   `json:"name"`
		Versions []string `json:"versions"`
		Platform string   `json:"platform"`
		Inputs   []spec   `json:"inputs"`
		Outputs  []spec   `json:"outputs"`
	}{v.Model, nil, "onnx_onnxv1", list(v.Schema.Signature.Inputs), list(v.Schema.Signature.Outputs)}
	for _, h := range held {
		body.Versions = append(body.Versions, strconv.Itoa(h.Number))
	}
	return x.answerJSON(200, body)
}

// modelStatus answers GET /v1/models/M[/versions/V|/labels/L] as TensorFlow Serving does.
func (x *exchange) modelStatus(ctx context.Context) Response {
	held, err := x.versions(ctx)
	if err != nil {
		return x.fail(err)
	}
	type code struct {
		Code    string `json:"error_code"`
		Message string `json:"error_message"`
	}
	type version struct {
		Version string `json:"version"`
		State   string `json:"state"`
		Status  code   `json:"status"`
	}
	var list []version
	for _, h := range held {
		state := "LOADING"
		if h.Ready {
			state = "AVAILABLE"
		}
		list = append(list, version{strconv.Itoa(h.Number), state, code{"OK", ""}})
	}
	return x.answerJSON(200, map[string]any{"model_version_status": list})
}

// dtypes are TensorFlow's names of the datatypes.
var dtypes = map[tensor.Datatype]string{
	tensor.Bool: "DT_BOOL", tensor.Uint8: "DT_UINT8", tensor.Uint16: "DT_UINT16", tensor.Uint32: "DT_UINT32", tensor.Uint64: "DT_UINT64",
	tensor.Int8: "DT_INT8", tensor.Int16: "DT_INT16", tensor.Int32: "DT_INT32", tensor.Int64: "DT_INT64",
	tensor.FP16: "DT_HALF", tensor.FP32: "DT_FLOAT", tensor.FP64: "DT_DOUBLE", tensor.Bytes: "DT_STRING",
}

// signatureMetadata answers GET /v1/models/M/metadata as TensorFlow Serving does.
func (x *exchange) signatureMetadata(ctx context.Context) Response {
	v, err := x.signature(ctx)
	if err != nil {
		return x.fail(err)
	}
	type dim struct {
		Size string `json:"size"`
		Name string `json:"name"`
	}
	type object = map[string]any
	list := func(specs []schema.Spec) object {
		out := object{}
		for _, s := range specs {
			dims := []dim{}
			for _, d := range s.Shape {
				dims = append(dims, dim{Size: strconv.FormatInt(d, 10)})
			}
			out[s.Name] = object{"dtype": dtypes[s.Datatype], "tensor_shape": object{"dim": dims, "unknown_rank": false}, "name": s.Name}
		}
		return out
	}
	signature := object{"inputs": list(v.Schema.Signature.Inputs), "outputs": list(v.Schema.Signature.Outputs), "method_name": "tensorflow/serving/predict"}
	return x.answerJSON(200, object{
		"model_spec": object{"name": v.Model, "signature_name": "", "version": strconv.Itoa(v.Number)},
		"metadata":   object{"signature_def": object{"signature_def": object{"serving_default": signature}}},
	})
}
