package training

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// Adopted is the answer of the step: whether a trainer left what the run asked for.
type Adopted struct {
	Step     string             `json:"step"`
	Model    string             `json:"model"`
	Run      string             `json:"run"`
	Repeated bool               `json:"repeated,omitempty"`
	Ready    bool               `json:"ready"` // false: nothing is there yet, and nothing was kept of this answer
	Source   string             `json:"source"`
	Metrics  map[string]float64 `json:"metrics"`
	Rows     Rows               `json:"rows"`
}

// Rows are how many there were on either side; 0 where the trainer does not say.
type Rows struct {
	Train   int64 `json:"train"`
	Holdout int64 `json:"holdout"`
}

// The files that a trainer leaves (docs/formats/training.md).
const (
	modelFile       = "model.onnx"
	holdoutFile     = "holdout.csv"
	predictionsFile = "predictions.csv"
	metricsFile     = "metrics.json"
	runFile         = "run.json"
)

// maxDocument bounds a JSON file of a trainer, as register does.
const maxDocument = 256 << 10

// adopt looks at what lies where the run's trainer was to leave it, unpacks the
// archive of a job, and puts the training record beside it, last: where that is, the
// rest is and is what was asked for.
func (p *Planner) adopt(ctx context.Context, in *In) (*Adopted, error) {
	snapshot, err := p.taken(ctx, in)
	if err != nil {
		return nil, err
	}
	if snapshot.Action == ActionReuse {
		return nil, fault.New(fault.FailedPrecondition, "run %q reuses version %d: there is nothing to adopt", in.Run, snapshot.Version)
	}
	j := jobOf(in.Model, in.Run, snapshot.Key)
	out := &Adopted{Step: StepAdopt, Model: in.Model, Run: in.Run, Source: snapshot.Source, Metrics: map[string]float64{}}
	recorded, err := p.there(ctx, j.trained()+RecordFile)
	if err != nil {
		return nil, err
	}
	switch {
	case recorded:
	case in.Artifact != "":
		if err := p.unpack(ctx, j, in.Artifact); err != nil {
			return nil, err
		}
	case snapshot.Trainer == SageMaker:
		return out, nil
	}
	sizes, err := p.left(ctx, j)
	if err != nil {
		return nil, err
	}
	if _, done := sizes[runFile]; !done && snapshot.Trainer == Lambda {
		return out, nil // run.json is written last
	}
	if err := p.inspect(ctx, j, snapshot, sizes, out); err != nil {
		return nil, err
	}
	body, err := json.MarshalIndent(snapshot.Record, "", "  ")
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the training record cannot be encoded")
	}
	if _, err := p.Uploads.Put(ctx, j.trained()+RecordFile, append(body, '\n'), blob.Always()); err != nil {
		return nil, err
	}
	out.Ready = true
	return out, nil
}

func (p *Planner) there(ctx context.Context, key string) (bool, error) {
	_, err := p.Uploads.Head(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// left lists the files of the training with their sizes.
func (p *Planner) left(ctx context.Context, j job) (map[string]int64, error) {
	sizes := map[string]int64{}
	for info, err := range p.Uploads.List(ctx, j.trained(), "") {
		if err != nil {
			return nil, fmt.Errorf("training: list what was trained: %w", err)
		}
		sizes[strings.TrimPrefix(info.Key, j.trained())] = info.Size
	}
	return sizes, nil
}

// inspect refuses files that are not those of this run: another training may have
// written here, or the code may have been deployed anew between question and answer.
func (p *Planner) inspect(ctx context.Context, j job, asked *Snapshot, sizes map[string]int64, out *Adopted) error {
	refuse := func(format string, args ...any) error {
		return fault.New(fault.FailedPrecondition, "what the trainer left in %s cannot be taken: %s", asked.Source, fmt.Sprintf(format, args...))
	}
	if sizes[modelFile] == 0 {
		return refuse("there is no %s, or it is empty", modelFile)
	}
	if sizes[holdoutFile] == 0 || sizes[predictionsFile] == 0 {
		return refuse("there is no %s or no %s, so nobody can tell how good it is; hold rows out", holdoutFile, predictionsFile)
	}
	var run struct {
		Code   string `json:"code"`
		Inputs struct {
			Schema struct {
				SHA256 string `json:"sha256"`
			} `json:"schema"`
			Data struct {
				SHA256 string `json:"sha256"`
			} `json:"data"`
		} `json:"inputs"`
		Rows *Rows `json:"rows"`
	}
	if err := p.document(ctx, j, sizes, runFile, &run); err != nil {
		return refuse("%s", err)
	}
	if sum := run.Inputs.Data.SHA256; sum != "" && sum != registry.Hex(asked.Dataset.Digest) {
		return refuse("%s says that it learned from other rows", runFile)
	}
	if sum := run.Inputs.Schema.SHA256; sum != "" && sum != registry.Hex(asked.Record.SchemaDigest) {
		return refuse("%s says that it was given another training schema", runFile)
	}
	if run.Code != "" && asked.Trainer == Lambda && run.Code != asked.Record.Code {
		return refuse("other code trained (%s) than was asked (%s): the train function was deployed meanwhile; start the retraining again", short(run.Code), short(asked.Record.Code))
	}
	if run.Rows != nil {
		if out.Rows = *run.Rows; out.Rows.Holdout == 0 {
			return refuse("no row was held out")
		}
	}
	var metrics map[string]any
	if err := p.document(ctx, j, sizes, metricsFile, &metrics); err != nil {
		return refuse("%s", err)
	}
	for name, v := range metrics {
		if n, ok := v.(float64); ok && name != "v" {
			out.Metrics[name] = n
		}
	}
	return nil
}

// document reads a JSON file of the trainer; one that is not there leaves into alone.
func (p *Planner) document(ctx context.Context, j job, sizes map[string]int64, name string, into any) error {
	size, ok := sizes[name]
	if !ok {
		return nil
	}
	if size > maxDocument {
		return fmt.Errorf("%s has %d bytes, more than %d", name, size, maxDocument)
	}
	body, _, err := p.Uploads.Open(ctx, j.trained()+name, 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, maxDocument+1))
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s could not be read to its end; try again", name)
	}
	if json.Unmarshal(raw, into) != nil { // whose error may repeat a value
		return fmt.Errorf("%s is not JSON of its form (docs/formats/training.md)", name)
	}
	return nil
}
