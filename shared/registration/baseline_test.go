package registration

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/registry"
)

// row is a training row of the models under testdata.
type row struct {
	Delay    *float32 `parquet:"dep_delay,optional"`
	Distance float64  `parquet:"distance"`
	Carrier  string   `parquet:"carrier"`
	Tags     []string `parquet:"tags"`
	Late     int32    `parquet:"late"`
}

// training makes n rows: as a CSV file, and as a Parquet file with a float, a double and columns that are no inputs.
func training(t testing.TB, n int) (text, table []byte) {
	t.Helper()
	rng := rand.New(rand.NewPCG(71, 71))
	var out, packed bytes.Buffer
	out.WriteString("late,dep_delay,carrier,distance\n")
	rows := make([]row, n)
	for i := range rows {
		r := &rows[i]
		delay := ""
		if rng.IntN(10) > 0 {
			d := float32(rng.IntN(2000)) / 10
			r.Delay, delay = &d, fmt.Sprint(d)
		}
		r.Distance, r.Carrier = float64(rng.IntN(30000))/10, []string{"UA", "AA", "NA", ""}[rng.IntN(4)]
		fmt.Fprintf(&out, "0,%s,%s,%v\n", delay, r.Carrier, r.Distance)
	}
	w := parquet.NewGenericWriter[row](&packed, parquet.MaxRowsPerRowGroup(int64(n/3+1)))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), packed.Bytes()
}

var update = flag.Bool("update", false, "write testdata/*.golden")

func zipped(t testing.TB, raw []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(raw)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func (w *world) baseline(t testing.TB, version int) (*profile.Baseline, string) {
	t.Helper()
	b, digest, err := profile.LoadBaseline(context.Background(), w.reg, "flights", version)
	if err != nil {
		t.Fatal(err)
	}
	return b, digest
}

// TestBaselineOfTrainingRows: the same rows in three forms, read in one pass or in many, are the same version.
func TestBaselineOfTrainingRows(t *testing.T) {
	w := newWorld(t)
	w.upload(t, "binary")
	text, table := training(t, 5000)
	first := Out{}
	for i, file := range []struct {
		name   string
		data   []byte
		budget int64
	}{{"training.csv", text, 0}, {"training.csv", text, 1}, {"training.csv.gz", zipped(t, text), 0}, {"training.parquet", table, 20 << 20}} {
		folder := fmt.Sprint("uploads/", i, "/")
		for _, name := range []string{"model.onnx", "holdout.csv", "predictions.csv", "features.json", "training_schema.json"} {
			w.put(t, folder+name, read(t, "testdata/binary/"+name))
		}
		w.put(t, folder+file.name, file.data)
		r := *w.r
		r.Limits.BaselineBytes = file.budget
		out, err := r.Run(context.Background(), In{Model: "flights", Source: "s3://reg/" + folder})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Warnings) > 0 {
			t.Errorf("%s: warnings %v", file.name, out.Warnings)
		}
		if i == 0 {
			first = out
		} else if !out.Existing || out.Digest != first.Digest {
			t.Errorf("%s: %+v, want the version of training.csv", file.name, out)
		}
	}
	b, digest := w.baseline(t, 1)
	var names []string
	for _, c := range b.Columns {
		names = append(names, c.Name)
		if want := map[bool]uint64{false: 5000, true: 60}[c.Score]; c.State.Rows != want {
			t.Errorf("%s: %d rows, want %d", c.Name, c.State.Rows, want)
		}
	}
	if !slices.Equal(names, []string{"dep_delay", "distance", "carrier", "probabilities_1"}) || b.Rows != 5000 {
		t.Errorf("columns %v of %d rows", names, b.Rows)
	}
	carrier, _ := b.Column("carrier")
	if carrier.Kind != profile.Categorical || !slices.Contains(carrier.Cells.Named, "NA") || carrier.State.Missing == 0 {
		t.Errorf("carrier: %s, named %v, %d missing", carrier.Kind, carrier.Cells.Named, carrier.State.Missing)
	}
	if delay, _ := b.Column("dep_delay"); delay.Bits != 32 || delay.Kind != profile.Numeric || delay.State.Missing == 0 {
		t.Errorf("dep_delay: %d bits, %s", delay.Bits, delay.Kind)
	}
	m, err := w.reg.Verify(context.Background(), "flights", 1)
	if err != nil {
		t.Fatal(err)
	}
	if f, ok := m.File(profile.BaselineFile); !ok || f.SHA256 != digest || f.Blob || m.Digest != registry.ContentDigest(m.Files) {
		t.Errorf("file %+v, digest %s", f, digest)
	}
	golden(t, "binary_baseline", b)
}

// golden compares the baseline's shape with testdata/<name>.golden.
func golden(t *testing.T, name string, b *profile.Baseline) {
	t.Helper()
	raw, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	file := "testdata/" + name + ".golden"
	if *update {
		if err := os.WriteFile(file, append(raw, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := read(t, file); !bytes.Equal(bytes.TrimSpace(want), raw) {
		if err := os.WriteFile("testdata/"+name+".got", append(raw, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Errorf("the baseline differs from %s; see .got", file)
	}
}

// TestScoresByTask: of two classes the last, of more each, of a regression the prediction.
func TestScoresByTask(t *testing.T) {
	for dir, want := range map[string][]string{"binary": {"probabilities_1"}, "multiclass": {"probabilities_0", "probabilities_1", "probabilities_2"}, "regression": {"prediction"}} {
		w := newWorld(t)
		w.upload(t, dir)
		if _, err := w.r.Run(context.Background(), in()); err != nil {
			t.Fatal(err)
		}
		b, _ := w.baseline(t, 1)
		var scores []string
		for _, c := range b.Columns {
			if c.Score {
				scores = append(scores, c.Name)
			}
		}
		if !slices.Equal(scores, want) {
			t.Errorf("%s: scores %v, want %v", dir, scores, want)
		}
	}
}

// TestOddTrainingRows registers with a warning: what cannot be counted is left out, the other columns go on.
func TestOddTrainingRows(t *testing.T) {
	type decimal struct {
		Delay    int64    `parquet:"dep_delay,decimal(2:18)"`
		Distance []string `parquet:"distance"`
		Carrier  string   `parquet:"carrier"`
	}
	var packed bytes.Buffer
	pw := parquet.NewGenericWriter[decimal](&packed)
	_, _ = pw.Write([]decimal{{1, nil, "UA"}, {2, nil, "AA"}})
	if err := pw.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file string
		data []byte
		want []string
		cols int
	}{
		"one row":     {"training.csv", []byte("dep_delay,distance,carrier\n1,2,UA\n"), nil, 4},
		"all missing": {"training.csv", []byte("dep_delay,distance,carrier\n,,\n,,\n"), nil, 4},
		"text":        {"training.csv", []byte("dep_delay,distance,carrier\nx,2,UA\n1,1e999,UA\n"), []string{`column "dep_delay" of training.csv has 1 values that are not of its type`}, 4},
		"nested":      {"training.parquet", packed.Bytes(), []string{`column "dep_delay" of training.parquet is not in the baseline: decimal`, `column "distance" of training.parquet is not in the baseline: nested`}, 2},
	} {
		w := newWorld(t)
		w.upload(t, "binary")
		w.put(t, folder+c.file, c.data)
		out, err := w.r.Run(context.Background(), in())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(out.Warnings) != len(c.want) {
			t.Errorf("%s: warnings %v", name, out.Warnings)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(out.Warnings[i], want) {
				t.Errorf("%s: warning %q, want %q", name, out.Warnings[i], want)
			}
		}
		if b, _ := w.baseline(t, 1); len(b.Columns) != c.cols {
			t.Errorf("%s: %d columns, want %d", name, len(b.Columns), c.cols)
		}
	}
}

// TestLargeBaselinesLeaveColumnsOut bounds what every profile environment has to hold.
func TestLargeBaselinesLeaveColumnsOut(t *testing.T) {
	builder, err := profile.NewBuilder([]profile.Spec{{Name: "many", Kind: profile.Categorical}, {Name: "few", Kind: profile.Categorical}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40_000 {
		builder.Text(0, fmt.Sprint("v", i%20_000), 1)
		builder.Text(1, fmt.Sprint("v", i%7), 1)
	}
	raw, warnings, err := encodeBaseline(builder.Freeze(40_000), 64<<10)
	if err != nil || len(raw) > 64<<10 || len(warnings) != 1 || !strings.Contains(warnings[0], `"many"`) {
		t.Fatalf("%d bytes, %v, %v", len(raw), warnings, err)
	}
	if b, err := profile.ParseBaseline(raw); err != nil || len(b.Columns) != 1 || b.Columns[0].Name != "few" {
		t.Errorf("%v", err)
	}
}
