package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/tidegate/tidegate/shared/scoring"
)

// score asks the function score for a version's answers to a stored table and returns
// the key of the predictions.
func (d *demo) score(ctx context.Context, in scoring.In) (string, error) {
	function, err := d.output(ctx, "ScoreFunctionName")
	if err != nil {
		return "", err
	}
	in.Model = modelName
	var out scoring.Out
	if err := d.Invoke(ctx, function, in, &out); err != nil {
		return "", fmt.Errorf("score %s by version %d: %w", in.Source.Key, in.Version, err)
	}
	return d.keyOf(out.URI), nil
}

// lateness reads the probabilities of being late out of predictions, row by row.
func (d *demo) lateness(ctx context.Context, key string) ([]float32, error) {
	object, err := d.Data.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	var out []float32
	for line := range bytes.Lines(object.Body) {
		var rows struct {
			Rows    int `json:"rows"`
			Outputs struct {
				Probabilities [][]float32 `json:"probabilities"`
			} `json:"outputs"`
			Kind string `json:"kind"`
		}
		if err := json.Unmarshal(line, &rows); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		for _, p := range rows.Outputs.Probabilities {
			if len(p) != 2 {
				return nil, fmt.Errorf("%s: a row has %d probabilities", key, len(p))
			}
			out = append(out, p[1])
		}
		if rows.Kind == "end" && rows.Rows == len(out) {
			return out, nil
		}
	}
	return nil, fmt.Errorf("%s: %d rows and no end", key, len(out))
}
