package httpapi

import (
	"context"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/inference"
)

// Predictor is what the handlers need of inference.
type Predictor interface {
	// Pick chooses and holds the version that answers sel. NotFound: no such model, or no slot holds
	// the version. Unavailable: the model cannot be loaded now.
	Pick(ctx context.Context, sel inference.Selection) (inference.Served, error)
	// Status describes the versions of model, loading its state if need be.
	Status(ctx context.Context, model string) (inference.ModelStatus, error)
	// Ready says whether the process can answer at all.
	Ready(ctx context.Context) error
	// AfterRequest is due once per request after its answer: it refreshes states that have aged.
	AfterRequest(ctx context.Context)
}

// Prediction is everything that is known of one answered prediction request. It
// is declared by its consumer, capture, which may not import this package.
type Prediction = capture.Prediction

// Recorder captures predictions. In strict mode the handler calls it before the
// answer and turns its error into 503; otherwise after, and a loss is counted by
// the recorder itself.
type Recorder interface {
	Record(ctx context.Context, p *Prediction) error
}

// Stage is one timed part of a request.
type Stage struct {
	Name     string // decode, pick, check, run, encode, capture, pair
	Start    time.Time
	Duration time.Duration
}

// Observation is what telemetry learns of one request: never a value of the input.
type Observation struct {
	RequestID   string
	InferenceID string
	Route       string // "infer", "predict", "metadata", "ready", …
	Model       string
	Version     int
	Slot        string
	Digest      string        // of the version that answered
	Ran         inference.Ran // who ran it, and how its backend did
	Status      int
	ErrorKind   string
	Cause       error // for the log only
	Rows        int
	BytesIn     int
	BytesOut    int
	Start       time.Time
	Duration    time.Duration // to the encoded answer
	Stages      []Stage
}

// Observer turns observations into a log line, metrics and trace segments. It is
// called after the answer, last of all, and must not keep the observation.
type Observer interface {
	Observe(ctx context.Context, o *Observation)
}
