package registration

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// edit changes one file of an upload; nil as the result removes it.
type edit struct {
	file   string
	change func([]byte) []byte
}

func replace(old, new string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
}
func set(text string) func([]byte) []byte { return func([]byte) []byte { return []byte(text) } }
func remove([]byte) []byte                { return nil }
func lines(keep func([]string) []string) func([]byte) []byte {
	return func(b []byte) []byte {
		return []byte(strings.Join(keep(strings.SplitAfter(string(b), "\n")), ""))
	}
}

var rowsTwice = lines(func(l []string) []string { return append(l[:61:61], l[1:61]...) })

// secret stands for a value of the data: no message may hold it.
const secret = "s3cretValue"

// TestBadUploadsAreRefused edits a good upload. What is refused leaves nothing behind.
func TestBadUploadsAreRefused(t *testing.T) {
	dropLast := lines(func(l []string) []string { return l[:len(l)-2] })
	cases := map[string]struct {
		edits []edit
		kind  fault.Kind
		want  string
	}{
		"no model":                {[]edit{{"model.onnx", remove}}, fault.InvalidArgument, "holds no .onnx file"},
		"two models":              {[]edit{{"other.ONNX", set("x")}}, fault.InvalidArgument, `more than one .onnx file ("model.onnx" and "other.ONNX")`},
		"empty model":             {[]edit{{"model.onnx", set("")}}, fault.InvalidArgument, "the model file is empty"},
		"garbage":                 {[]edit{{"model.onnx", set("\x80\x05" + secret)}}, fault.InvalidArgument, "Python pickle"},
		"half a model":            {[]edit{{"model.onnx", func(b []byte) []byte { return b[:len(b)/2] }}}, fault.InvalidArgument, "is not an ONNX model"},
		"large model":             {[]edit{{"model.onnx", func(b []byte) []byte { return append(b, make([]byte, 1<<20)...) }}}, fault.PayloadTooLarge, "give the function more memory"},
		"holdout alone":           {[]edit{{"predictions.csv", remove}}, fault.InvalidArgument, "only one of holdout.csv and predictions.csv"},
		"predictions alone":       {[]edit{{"holdout.csv", remove}}, fault.InvalidArgument, "only one of holdout.csv and predictions.csv"},
		"large holdout":           {[]edit{{"holdout.csv", set(strings.Repeat("x", 100_001))}}, fault.PayloadTooLarge, "holdout.csv has 100001 bytes, limit 100000"},
		"too many rows":           {[]edit{{"holdout.csv", rowsTwice}, {"predictions.csv", rowsTwice}}, fault.PayloadTooLarge, "more than 100 rows"},
		"training rows twice":     {[]edit{{"training.csv", set("x")}, {"training.parquet", set("x")}}, fault.InvalidArgument, "more than once (training.csv and training.parquet)"},
		"empty training rows":     {[]edit{{"training.csv", set("\n")}}, fault.InvalidArgument, "training.csv cannot be read: profile: the CSV file is empty"},
		"training header only":    {[]edit{{"training.csv", set("dep_delay,distance,carrier\n")}}, fault.InvalidArgument, "training.csv has no rows"},
		"training column missing": {[]edit{{"training.csv", set("dep_delay,carrier\n1,UA\n")}}, fault.InvalidArgument, `training.csv has no column "distance"`},
		"short training row":      {[]edit{{"training.csv", set("dep_delay,distance,carrier\n1,2,UA\n" + secret + "\n")}}, fault.InvalidArgument, "training.csv has 1 lines that are no rows; line 3: 1 fields"},
		"half a gzip file":        {[]edit{{"training.csv.gz", set("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b")}}, fault.InvalidArgument, "training.csv.gz cannot be read"},
		"half a Parquet file":     {[]edit{{"training.parquet", set("PAR1" + secret)}}, fault.InvalidArgument, "training.parquet cannot be read: profile: not a readable Parquet file"},
		"large training rows":     {[]edit{{"training.csv", set(strings.Repeat("x", 200_001))}}, fault.PayloadTooLarge, "training.csv has 200001 bytes, limit 200000"},
		"no header":               {[]edit{{"holdout.csv", set("")}}, fault.InvalidArgument, "holdout.csv is empty"},
		"no rows":                 {[]edit{{"holdout.csv", lines(func(l []string) []string { return l[:1] })}}, fault.InvalidArgument, "holdout.csv has no rows"},
		"input column missing":    {[]edit{{"holdout.csv", replace("distance", "distence")}}, fault.InvalidArgument, `has no column "distance" for input "distance"`},
		"strange column":          {[]edit{{"holdout.csv", replace("distance", "distence")}}, fault.InvalidArgument, `has a column "distence" that is neither an input nor the target`},
		"column twice":            {[]edit{{"holdout.csv", replace("distance", "carrier")}}, fault.InvalidArgument, `two columns "carrier"`},
		"text for a number":       {[]edit{{"holdout.csv", replace("\n40.992172,", "\n"+secret+",")}}, fault.InvalidArgument, `column "dep_delay" of row 1 is not a number`},
		"infinite number":         {[]edit{{"holdout.csv", replace("\n40.992172,", "\n1e39,")}}, fault.InvalidArgument, `column "dep_delay" of row 1 is not a finite number`},
		"ragged row":              {[]edit{{"holdout.csv", replace("\n40.992172,", "\n")}}, fault.InvalidArgument, "another number of fields on line 2"},
		"open quote":              {[]edit{{"holdout.csv", replace("\n40.992172,", "\n\""+secret+",")}}, fault.InvalidArgument, "not valid CSV on line"},
		"row missing in holdout":  {[]edit{{"holdout.csv", dropLast}}, fault.InvalidArgument, "holdout.csv has 59 rows, predictions.csv has more"},
		"row missing in answers":  {[]edit{{"predictions.csv", dropLast}}, fault.InvalidArgument, "predictions.csv has 59 rows, holdout.csv has more"},
		"answers of other column": {[]edit{{"predictions.csv", replace("probabilities_1", "score")}}, fault.InvalidArgument, `has no column "probabilities_1" for output "probabilities"`},
		"answers of more columns": {[]edit{{"predictions.csv", replace("probabilities_1", "score")}}, fault.InvalidArgument, `has a column "score" that is no output`},
		"text for an answer":      {[]edit{{"predictions.csv", replace("0.4234423", secret)}}, fault.InvalidArgument, `column "probabilities_0" of row 1 is not a finite number`},
		"NaN for an answer":       {[]edit{{"predictions.csv", replace("0.4234423", "nan")}}, fault.InvalidArgument, `column "probabilities_0" of row 1 is not a finite number`},
		"text for a label":        {[]edit{{"predictions.csv", replace("\n1,", "\n"+secret+",")}}, fault.InvalidArgument, `column "label" of row 1 is not a whole number`},
		"another answer":          {[]edit{{"predictions.csv", replace("0.4234423", "0.4235")}}, fault.FailedPrecondition, `1 of 60 rows of the holdout are answered differently here than by the trainer (tolerance 1e-05); the largest difference is 5.77e-05, in output "probabilities_0", row 1`},
		"another label":           {[]edit{{"predictions.csv", replace("\n1,", "\n0,")}}, fault.FailedPrecondition, `1 labels differ, the first in output "label", row 1`},
		"rows in another order":   {[]edit{{"predictions.csv", lines(func(l []string) []string { l[1], l[2] = l[2], l[1]; return l })}}, fault.FailedPrecondition, "2 of 60 rows"},
		"swapped columns":         {[]edit{{"holdout.csv", replace("dep_delay,distance", "distance,dep_delay")}}, fault.FailedPrecondition, "answered differently here than by the trainer"},
		"metrics not JSON":        {[]edit{{"metrics.json", set(`{"auc": NaN}`)}}, fault.InvalidArgument, "metrics.json is not valid JSON"},
		"metrics not an object":   {[]edit{{"metrics.json", set(`[1]`)}}, fault.InvalidArgument, "metrics.json must be a JSON object"},
		"features of other form":  {[]edit{{"features.json", set(`{"features":"` + secret + `"}`)}}, fault.InvalidArgument, "features.json does not have the form"},
		"features of no input":    {[]edit{{"features.json", replace("distance", "distence")}}, fault.InvalidArgument, `describes column "distence", which is no input`},
		"features twice":          {[]edit{{"features.json", replace("distance", "carrier")}}, fault.InvalidArgument, `describes column "carrier" twice`},
		"unknown missing policy":  {[]edit{{"features.json", replace(`"min"`, `"missing": "`+secret+`", "min"`)}}, fault.InvalidArgument, "must be accept or refuse"},
		"large run record":        {[]edit{{"run.json", set(`"` + strings.Repeat("x", 300_000) + `"`)}}, fault.PayloadTooLarge, "run.json has 300002 bytes"},
		"task nobody has":         {[]edit{{"training_schema.json", replace("binary_", "ternary_")}}, fault.InvalidArgument, "names a task that does not exist"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.r.Limits = Limits{ModelBytes: 100_000, TableBytes: 100_000, TrainingBytes: 200_000, Rows: 100, BatchRows: 7}
			w.upload(t, "binary")
			for _, e := range c.edits {
				obj, err := w.store.Get(context.Background(), folder+e.file)
				if err != nil && !fault.Is(err, fault.NotFound) {
					t.Fatal(err)
				}
				after := e.change(obj.Body)
				w.store.Delete(folder + e.file)
				if after != nil {
					if bytes.Equal(after, obj.Body) {
						t.Fatal("the edit changes nothing")
					}
					w.put(t, folder+e.file, after)
				}
			}
			_, err := w.r.Run(context.Background(), in())
			refuses(t, name, err, c.kind, c.want)
			if err != nil && strings.Contains(fault.Public(err).Message, secret) {
				t.Errorf("the message repeats a value: %v", err)
			}
			if keys := w.keys(t); len(keys) > 0 {
				t.Errorf("stored all the same: %v", keys)
			}
			w.noTemp(t)
		})
	}
}

func TestBadSourcesAreRefused(t *testing.T) {
	w := newWorld(t)
	w.put(t, "uploads/one/model.txt", []byte("x"))
	w.put(t, "models/flights/versions/00000001/model.onnx", []byte("x"))
	for source, c := range map[string]struct {
		kind fault.Kind
		want string
	}{
		"flights.onnx":                {fault.InvalidArgument, "must be an s3:// URI"},
		"s3://other/uploads/one/":     {fault.InvalidArgument, "must be in the registry bucket"},
		"s3://reg":                    {fault.InvalidArgument, "must be under uploads/"},
		"s3://reg/":                   {fault.InvalidArgument, "must be under uploads/"},
		"s3://reg/uploads/":           {fault.InvalidArgument, "must be under uploads/"},
		"s3://reg/models/flights/":    {fault.InvalidArgument, "must be under uploads/"},
		"s3://reg/uploads/one":        {fault.InvalidArgument, "must end in a slash (a folder) or in .onnx"},
		"s3://reg/uploads/two/":       {fault.NotFound, "the source holds no objects"},
		"s3://reg/uploads/two/m.onnx": {fault.NotFound, "m.onnx is not in the source (any more)"},
		"s3://reg/uploads/one/":       {fault.InvalidArgument, "holds no .onnx file"},
	} {
		_, err := w.r.Run(context.Background(), In{Model: "flights", Source: source})
		refuses(t, source, err, c.kind, c.want)
	}
}

// TestUploadThatVanishes deletes a file between the listing and the reading.
func TestUploadThatVanishes(t *testing.T) {
	for _, file := range []string{"model.onnx", "holdout.csv", "run.json"} {
		w := newWorld(t)
		w.upload(t, "binary")
		w.r.Uploads = vanishing{w.store, folder + file}
		_, err := w.r.Run(context.Background(), in())
		refuses(t, file, err, fault.NotFound, file+" is not in the source (any more)")
		w.noTemp(t)
	}
}

// vanishing deletes an object at the moment it is opened.
type vanishing struct {
	*blob.Memory
	key string
}

func (v vanishing) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error) {
	if key == v.key {
		v.Delete(key)
	}
	return v.Memory.Open(ctx, key, offset, length)
}

// TestUploadCutOff ends a file before its announced size, as a dropped connection does.
func TestUploadCutOff(t *testing.T) {
	for _, file := range []string{"model.onnx", "holdout.csv", "run.json"} {
		w := newWorld(t)
		w.upload(t, "binary")
		w.r.Uploads = cutting{w.store, folder + file}
		_, err := w.r.Run(context.Background(), in())
		refuses(t, file, err, fault.Unavailable, "try again")
		w.noTemp(t)
	}
}

type cutting struct {
	*blob.Memory
	key string
}

func (c cutting) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error) {
	body, info, err := c.Memory.Open(ctx, key, offset, length)
	if key == c.key {
		body = io.NopCloser(io.LimitReader(body, info.Size-1))
	}
	return body, info, err
}

func TestFolderWithTooManyObjects(t *testing.T) {
	w := newWorld(t)
	for i := range 1001 {
		w.put(t, folder+string(rune('a'+i%26))+strings.Repeat("x", i/26), nil)
	}
	_, err := w.r.Run(context.Background(), in())
	refuses(t, "1001 objects", err, fault.InvalidArgument, "more than 1000 objects")
}
