package registration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// echo is a model that answers its inputs: a number, a whole number and a text.
type echo struct{}

var echoSignature = func() schema.Signature {
	specs := []schema.Spec{{Name: "x", Datatype: tensor.FP32, Shape: []int64{-1, 1}}, {Name: "n", Datatype: tensor.Int64, Shape: []int64{-1}},
		{Name: "s", Datatype: tensor.Bytes, Shape: []int64{-1, 1}}}
	return schema.Signature{Inputs: specs, Outputs: specs}
}()

func (echo) Run(_ context.Context, inputs []tensor.Tensor, _ []string) ([]tensor.Tensor, func(), error) {
	return inputs, func() {}, nil
}
func (echo) Close() error { return nil }

// FuzzTables feeds any two files to the parity check. It must give a verdict or
// say what is wrong with them; and a file compared with itself agrees.
func FuzzTables(f *testing.F) {
	f.Add([]byte("x,n,s\n1,2,a\n"), []byte("x,n,s\n1,2,a\n"))
	f.Add([]byte("\uFEFFs,x,n\n\"a\"\"b\n\",nan,-9\r\n"), []byte("n,x,s\n-9,0,\"a\"\"b\n\"\n"))
	f.Add([]byte("x,n,s,y\n1e400,2,a,\n\n\n"), []byte("x\n"))
	f.Fuzz(func(t *testing.T, holdout, predictions []byte) {
		dir := t.TempDir()
		keep := func(name string, data []byte) *table {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return &table{name: name, path: path}
		}
		r := &Registrar{Limits: Limits{Rows: 50, BatchRows: 3}.withDefaults()}
		check := func(predictions []byte) error {
			b := &bundle{holdout: keep("holdout.csv", holdout), predictions: keep("predictions.csv", predictions)}
			p, err := r.parity(context.Background(), b, echo{}, echoSignature, []string{"y"}, DefaultTolerance)
			switch k := fault.KindOf(err); {
			case err == nil && (!p.Checked || p.Rows == 0):
				t.Fatalf("accepted without rows: %+v", p)
			case err != nil && k != fault.InvalidArgument && k != fault.FailedPrecondition && k != fault.PayloadTooLarge:
				t.Fatalf("kind %s: %v", k, err)
			}
			return err
		}
		_ = check(predictions)
		if err := check(holdout); fault.Is(err, fault.FailedPrecondition) && !strings.Contains(err.Error(), "not finite") {
			t.Fatalf("differs from itself: %v", err)
		}
	})
}

func FuzzLocate(f *testing.F) {
	for _, s := range []string{"s3://reg/uploads/1/", "s3://reg/uploads/1/m.onnx", "s3://reg/uploads//", "s3:///uploads/", "s3://reg/uploads/../models/m/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		at, err := locate(source, "reg")
		if err != nil {
			if !fault.Is(err, fault.InvalidArgument) {
				t.Fatal(err)
			}
			return
		}
		if !strings.HasPrefix(at.key, "uploads/") || source != "s3://reg/"+at.key {
			t.Fatalf("%q became %q", source, at.key)
		}
	})
}
