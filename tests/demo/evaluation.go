package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/evaluation/watch"
	"github.com/tidegate/tidegate/shared/period"
)

// Evaluated is one report on the quality of predictions, for programs. Areas are the
// lower end of the 95 % interval, the value, and the upper end; null where there is none.
type Evaluated struct {
	Window   string      `json:"window"` // the month of the flights
	Version  int         `json:"version"`
	N        uint64      `json:"n"` // rows with a label
	Coverage float64     `json:"coverage"`
	ROCAUC   *[3]float64 `json:"roc_auc"`
	CBPE     *[3]float64 `json:"cbpe_roc_auc"` // estimated without labels, of all predictions
	Verdict  string      `json:"verdict"`
}

// evaluate asks for a report on each hour in which April was sent. The hours are
// still open: nobody wants to wait for their end. labels is how many the reports
// must know of.
func (d *demo) evaluate(ctx context.Context, facts *Facts, labels int) ([]*evaluation.Report, error) {
	hours, err := d.hours()
	if err != nil {
		return nil, err
	}
	var out []*evaluation.Report
	known := uint64(0)
	for _, hour := range slices.SortedFunc(maps.Keys(hours), time.Time.Compare) {
		r, err := d.evaluateWindow(ctx, period.At(time.Hour, hour).ID)
		if err != nil {
			return nil, err
		}
		v := r.Version(r.Champion)
		if v == nil || v.Quality.Counts.Predictions < uint64(hours[hour]) {
			return nil, fmt.Errorf("the report on %s knows of fewer predictions than the %d that were captured", r.Window.ID, hours[hour])
		}
		known += v.Quality.Counts.Judged
		facts.Evaluation = append(facts.Evaluation, evaluated(r, v))
		out = append(out, r)
	}
	if known < uint64(labels) {
		return nil, fmt.Errorf("%d labels are filed, and the reports judge %d rows", labels, known)
	}
	return out, nil
}

// evaluateWindow asks for one report and keeps its page.
func (d *demo) evaluateWindow(ctx context.Context, id string) (*evaluation.Report, error) {
	function, err := d.output(ctx, "EvaluateFunctionName")
	if err != nil {
		return nil, err
	}
	var out watch.Out
	err = d.waiting("joining predictions and labels", func() error {
		return d.Invoke(ctx, function, watch.In{Model: modelName, Window: id}, &out)
	})
	if err != nil {
		return nil, fmt.Errorf("evaluation of %s: %w", id, err)
	}
	if len(out.Reports) != 1 {
		return nil, fmt.Errorf("evaluation of %s: %d reports, %d hours left", id, len(out.Reports), out.Left)
	}
	object, err := d.Data.Get(ctx, d.keyOf(out.Reports[0].Report))
	if err != nil {
		return nil, fmt.Errorf("evaluation of %s: %w", id, err)
	}
	r, err := evaluation.ParseReport(object.Body)
	if err != nil {
		return nil, err
	}
	return r, d.keep(ctx, d.keyOf(out.Reports[0].Page), "evaluation", fmt.Sprintf("2013-04-%d.html", r.Revision))
}

// output is one of the stack that the command line has no use for.
func (d *demo) output(ctx context.Context, name string) (string, error) {
	answer, err := cloudformation.NewFromConfig(d.Config).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &d.Name})
	if err != nil {
		return "", fmt.Errorf("the outputs of stack %s: %w", d.Name, err)
	}
	for _, s := range answer.Stacks {
		for _, o := range s.Outputs {
			if aws.ToString(o.OutputKey) == name {
				return aws.ToString(o.OutputValue), nil
			}
		}
	}
	return "", fmt.Errorf("stack %s has no output %s; deploy it again", d.Name, name)
}

// keyOf is the key in the data bucket that a URI names.
func (d *demo) keyOf(uri string) string { return strings.TrimPrefix(uri, "s3://"+d.DataBucketName+"/") }

func evaluated(r *evaluation.Report, v *evaluation.VersionReport) Evaluated {
	e := Evaluated{Window: "2013-04", Version: v.Version, N: v.Quality.Counts.Judged, Coverage: v.Quality.Coverage, Verdict: string(r.Verdict)}
	if m := v.Quality.Metric(quality.ROCAUC); m != nil && m.Value != nil && m.Interval != nil {
		e.ROCAUC = &[3]float64{m.Interval.Lo, *m.Value, m.Interval.Hi}
	}
	if v.Estimate == nil {
		return e
	}
	if m := v.Estimate.Metric(quality.ROCAUC); m != nil && m.Value != nil && m.Interval != nil {
		e.CBPE = &[3]float64{m.Interval.Lo, *m.Value, m.Interval.Hi}
	}
	return e
}

func interval(a *[3]float64) string {
	if a == nil {
		return "unknown"
	}
	return fmt.Sprintf("%.3f [%.3f, %.3f]", a[1], a[0], a[2])
}

// tellEarly holds a report to what part of the labels can say: nothing, beside an estimate.
func (d *demo) tellEarly(r *evaluation.Report) error {
	v := r.Version(r.Champion)
	e := evaluated(r, v)
	d.say("%s, of %d predictions: %s", r.Window.ID, v.Quality.Counts.Predictions, r.Summary)
	if v.Quality.Coverage < r.Policy.Coverage && r.Verdict != quality.NotEnoughData {
		return fmt.Errorf("the report %s has a verdict (%s) though %.1f %% of the labels are there", r.ID, r.Verdict, 100*v.Quality.Coverage)
	}
	d.say("The early labels show a ROC AUC of %s, which is that of no random part. The estimate for all, which needs no label: %s.", interval(e.ROCAUC), interval(e.CBPE))
	if v.Estimate != nil && v.Estimate.Reason != "" {
		d.say("There is no estimate: %s.", v.Estimate.Reason)
	}
	return nil
}

// tellTruth compares what the labels say with what was estimated and said before.
func (d *demo) tellTruth(before, r *evaluation.Report) error {
	v := r.Version(r.Champion)
	e, was := evaluated(r, v), evaluated(before, before.Version(before.Champion))
	d.say("%s, of %d predictions: %s", r.Window.ID, v.Quality.Counts.Predictions, r.Summary)
	if r.ID != before.ID && (r.Supersedes == nil || r.Supersedes.Report != before.ID) {
		return fmt.Errorf("the report %s does not say that it supersedes %s", r.ID, before.ID)
	}
	if e.ROCAUC != nil && was.CBPE != nil {
		held := "outside"
		if was.CBPE[0] <= e.ROCAUC[1] && e.ROCAUC[1] <= was.CBPE[2] {
			held = "inside"
		}
		d.say("ROC AUC %s on %d rows; the estimate had been %s: the truth is %s its band, and so an estimate is no verdict.", interval(e.ROCAUC), e.N, interval(was.CBPE), held)
	}
	if r.Supersedes != nil {
		d.say("Revision %d supersedes revision %d, which stays: %s", r.Revision, r.Supersedes.Revision, strings.Join(r.Supersedes.Changes, "; ")+".")
	}
	d.say("Each report has a page; open %s in a browser.", d.shown("evaluation", fmt.Sprintf("2013-04-%d.html", r.Revision)))
	return nil
}
