package sagemaker

import (
	"context"

	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/serving/mlflow"
	"github.com/tidegate/tidegate/shared/tensor"
)

// ColumnsOf makes Options.Columns of what picks versions.
func ColumnsOf(p httpapi.Predictor) func(ctx context.Context, model string, version int) ([]mlflow.Column, error) {
	return func(ctx context.Context, model string, version int) ([]mlflow.Column, error) {
		sel := inference.Selection{Model: model, Version: version}
		if version == 0 {
			sel.Slot = registry.Champion
		}
		served, err := p.Pick(ctx, sel)
		if err != nil {
			return nil, err
		}
		defer served.Done()
		v := served.Version()
		var columns []mlflow.Column
		for _, place := range v.Columns.Columns() {
			columns = append(columns, mlflow.Column{Name: place.Name, Width: max(place.Width, 1), Kind: kind(v.Schema.Signature.Inputs[place.Input].Datatype)})
		}
		return columns, nil
	}
}

func kind(d tensor.Datatype) mlflow.Kind {
	switch d {
	case tensor.FP16, tensor.FP32, tensor.FP64:
		return mlflow.Number
	case tensor.Bytes:
		return mlflow.Text
	case tensor.Bool:
		return mlflow.Bool
	}
	return mlflow.Integer
}
