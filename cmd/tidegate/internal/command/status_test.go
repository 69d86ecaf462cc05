package command

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// TestStatusShowsTheReference: what the champion's predictions are compared with is beside it.
func TestStatusShowsTheReference(t *testing.T) {
	c := newCloud(t)
	ctx := t.Context()
	_, _, err := c.reg.CreateModel(ctx, registry.Model{Name: "price", Task: schema.Regression})
	check(t, err)
	rows := quality.NewState(quality.NewRegression())
	for i := range 40 {
		rows.Add(&quality.Row{Value: float64(i), Truth: float64(i) + 0.5, Labelled: true, Mature: true, Key: quality.HashKey(fmt.Sprint(i))})
	}
	ref, err := quality.NewReference(rows, "sha256:0", time.Time{})
	check(t, err)
	document, err := ref.Encode()
	check(t, err)
	hex := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	model := []byte("model")
	m := registry.Manifest{Model: "price", Runtime: "test", Files: []registry.File{{Path: "model.onnx", Size: int64(len(model)), SHA256: hex(model), Blob: true},
		{Path: quality.ReferenceFile, Size: int64(len(document)), SHA256: hex(document)}}}
	m.Digest = registry.ContentDigest(m.Files)
	m.Version, err = c.reg.Claim(ctx, "price", m.Digest, "test")
	check(t, err)
	check(t, c.reg.PutBlob(ctx, m.Files[0].SHA256, strings.NewReader("model"), m.Files[0].Size))
	_, err = c.reg.PutVersionFile(ctx, "price", m.Version, quality.ReferenceFile, document)
	check(t, err)
	_, _, err = c.reg.PutManifest(ctx, m)
	check(t, err)
	if code, out, errs := c.run("status", "price"); code != ExitOK || strings.Contains(out, "reference") {
		t.Errorf("nothing serves: %d\n%s%s", code, out, errs)
	}
	_, err = c.reg.Apply(ctx, "price", registry.Request{TransitionID: "1", Actor: "test"}, registry.Bootstrap(registry.Ref{Version: m.Version, Digest: m.Digest}))
	check(t, err)
	if code, out, errs := c.run("status", "price"); code != ExitOK || !strings.Contains(out, "\nreference   mae 0.5 [0.5, 0.5] on 40 rows of the holdout\n") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	if code, out, errs := c.run("status", "price", "--json"); code != ExitOK || !strings.Contains(out, `"rows": 40`) || !strings.Contains(out, `"name": "mae"`) {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	undefined := referenceStatus{Metric: quality.Metric{Name: quality.ROCAUC, Reason: "no label is of the positive class"}}
	if got := undefined.String(); got != "no roc_auc: no label is of the positive class" {
		t.Error(got)
	}
}
