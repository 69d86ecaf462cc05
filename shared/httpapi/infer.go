package httpapi

import (
	"context"
	"fmt"
	"strconv"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// infer answers POST /v2/models/M[/versions/V]/infer.
func (x *exchange) infer(ctx context.Context) Response {
	req, sagemaker, err := x.decodeInfer()
	if err == nil {
		err = x.pick(ctx)
	}
	if err == nil {
		err = x.checkInfer(req)
	}
	if err == nil {
		err = x.run(ctx)
	}
	if err != nil {
		return x.fail(err)
	}
	x.stage("encode")
	answer := oip.Answer{Model: x.pred.Version.Model, Version: x.header["Tidegate-Model-Version"], ID: req.ID, Outputs: x.pred.Outputs}
	if req.BinaryOutputs || len(req.Outputs) > 0 {
		answer.Binary = req.WantsBinary
	}
	body, jsonLength := oip.AppendAnswer(x.body[:0], &answer)
	x.body = body
	if jsonLength == oip.AllJSON {
		return x.finish(ctx, typeJSON, false)
	}
	length := strconv.Itoa(jsonLength)
	x.header["Inference-Header-Content-Length"] = length
	if sagemaker {
		return x.finish(ctx, oip.SageMakerType+";json-header-size="+length, true)
	}
	return x.finish(ctx, typeBinary, true)
}

// decodeInfer reads the request; sagemaker says that it came in SageMaker's media type.
func (x *exchange) decodeInfer() (req *oip.Request, sagemaker bool, err error) {
	x.stage("decode")
	if err = x.identify(); err != nil {
		return nil, false, err
	}
	body, err := x.payload()
	if err != nil {
		return nil, false, err
	}
	header := x.req.Header[oip.HeaderName]
	length, err := oip.JSONLength(header, x.req.Header["content-type"], len(body))
	if err != nil {
		return nil, false, err
	}
	if req, err = x.oip.Decode(body, length); err != nil {
		return nil, false, err
	}
	if len(req.ID) > maxRequestID {
		return nil, false, fault.New(fault.InvalidArgument, "id is longer than %d bytes", maxRequestID)
	}
	x.pred.RequestID = req.ID
	if x.pred.Key == "" {
		x.pred.Key = req.Key
		err = x.checkKey("parameters.key", req.Key)
	}
	return req, header == "" && length != oip.AllJSON, err
}

// checkInfer holds the request against the version's contract and signature.
func (x *exchange) checkInfer(req *oip.Request) error {
	x.stage("check")
	s := x.pred.Version.Schema
	if err := x.wanted(s, req.Outputs); err != nil {
		return err
	}
	inputs, err := x.pred.Version.Columns.Check(req.Inputs)
	if err != nil {
		return err
	}
	x.admit(s, inputs)
	return x.fits(s, x.pred.Rows, form{raw: req.WantsBinary})
}

// admit takes checked inputs into the prediction.
func (x *exchange) admit(s *schema.Schema, inputs []tensor.Tensor) {
	x.pred.Inputs, x.pred.Rows = inputs, 1
	for i := range s.Signature.Inputs {
		if s.Signature.Inputs[i].Batched() {
			x.pred.Rows = int(inputs[i].Shape[0])
			break
		}
	}
	x.obs.Rows = x.pred.Rows
}

// wanted checks the outputs asked for against the signature.
func (x *exchange) wanted(s *schema.Schema, outputs []oip.Output) error {
	x.want = x.want[:0]
	var bad []fault.Violation
	for i, out := range outputs {
		name := ""
		for k := range s.Signature.Outputs {
			if s.Signature.Outputs[k].Name == out.Name {
				name = s.Signature.Outputs[k].Name
			}
		}
		problem := ""
		switch {
		case name == "":
			problem = "is not an output of the model; see GET /v2/models/" + x.route.model
		case len(x.want) > 0 && x.wants(name):
			problem = "is asked for twice"
		default:
			x.want = append(x.want, name)
		}
		if problem != "" && len(bad) < oip.MaxViolations {
			bad = append(bad, fault.Violation{Path: fmt.Sprintf("outputs[%d].name", i), Problem: problem})
		}
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return nil
}
