package httpapi

import (
	"context"

	"github.com/tidegate/tidegate/shared/httpapi/rows"
)

// predict answers POST /v1/models/M[/versions/V|/labels/L]:predict. Rows need the
// signature, so the version is picked before the body is decoded.
func (x *exchange) predict(ctx context.Context) Response {
	err := x.identify()
	if err == nil {
		err = x.pick(ctx)
	}
	var req *rows.Request
	if err == nil {
		req, err = x.decodeRows()
	}
	if err == nil {
		err = x.checkRows(req)
	}
	if err == nil {
		err = x.run(ctx)
	}
	if err != nil {
		return x.fail(err)
	}
	x.stage("encode")
	if req.Columnar {
		x.body = rows.AppendOutputs(x.body[:0], x.pred.Outputs, x.pred.Rows)
	} else {
		x.body = rows.AppendPredictions(x.body[:0], x.pred.Outputs, x.pred.Rows)
	}
	return x.finish(ctx, typeJSON, false)
}

func (x *exchange) decodeRows() (*rows.Request, error) {
	x.stage("decode")
	body, err := x.payload()
	if err != nil {
		return nil, err
	}
	return x.rows.Decode(body, x.pred.Version.Columns)
}

func (x *exchange) checkRows(req *rows.Request) error {
	x.stage("check")
	v := &x.pred.Version
	check := v.Columns.CheckRows
	if req.Columnar {
		check = v.Columns.Check
	}
	inputs, err := check(req.Inputs)
	if err != nil {
		return err
	}
	x.admit(v.Schema, inputs)
	return x.fits(v.Schema, x.pred.Rows, form{names: len(v.Schema.Signature.Outputs) > 1 && !req.Columnar})
}
