package folder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/inference/onnx/onnxtest"
)

func write(t *testing.T, dir, name string, body []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestModelsAreServed(t *testing.T) {
	affine, _ := onnxtest.Model(t, "affine")
	s := inferencetest.Schema()
	document, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	single, several := t.TempDir(), t.TempDir()
	write(t, single, "model.onnx", affine)
	write(t, single, "MLmodel", []byte("flavors:\n  onnx:\n    data: model.onnx\n"))
	write(t, several, "one/model.onnx", affine)
	write(t, several, "two/model.onnx", []byte("model with a schema of its own"))
	write(t, several, "two/schema.json", document)
	write(t, several, "notes/readme.txt", nil)
	write(t, several, "Not A Name/model.onnx", affine)
	for dir, want := range map[string]string{single: "m", several: "one two"} {
		reg, models, err := Open(t.Context(), dir, "m")
		if err != nil || strings.Join(models, " ") != want {
			t.Fatalf("models %v, %v; want %s", models, err, want)
		}
		for _, m := range models {
			state, _, err := reg.State(t.Context(), m)
			if err != nil || state.Slots.Champion == nil || state.Slots.Champion.Version != 1 {
				t.Fatalf("%s: state %+v, %v", m, state, err)
			}
			manifest, err := reg.Manifest(t.Context(), m, 1)
			if err != nil {
				t.Fatal(err)
			}
			body, read, err := inference.ReadVersion(t.Context(), reg, &manifest)
			if err != nil || len(body) == 0 || len(read.Signature.Inputs) != 1 || read.Signature.Inputs[0].Name != "x" {
				t.Errorf("%s: %d bytes, %+v, %v", m, len(body), read, err)
			}
		}
	}
}

func TestFoldersThatCannotBeServed(t *testing.T) {
	affine, _ := onnxtest.Model(t, "affine")
	for name, tt := range map[string]struct {
		files map[string]string
		kind  fault.Kind
		says  string
	}{
		"empty":       {nil, fault.NotFound, "model.onnx"},
		"no model":    {map[string]string{"model.pkl": "x"}, fault.NotFound, "model.onnx"},
		"a pickle":    {map[string]string{"model.onnx": "\x80\x04."}, fault.InvalidArgument, "pickle"},
		"a schema":    {map[string]string{"model.onnx": string(affine), "schema.json": `{"v":1}`}, fault.InvalidArgument, "signature"},
		"no JSON":     {map[string]string{"model.onnx": string(affine), "schema.json": `{`}, fault.InvalidArgument, ""},
		"broken file": {map[string]string{"a/model.onnx": "nothing"}, fault.InvalidArgument, "ONNX"},
	} {
		dir := t.TempDir()
		for file, body := range tt.files {
			write(t, dir, file, []byte(body))
		}
		_, _, err := Open(t.Context(), dir, "m")
		if !fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := Open(t.Context(), "/does/not/exist", "m"); !fault.Is(err, fault.NotFound) {
		t.Errorf("no folder: %v", err)
	}
}

func TestAModelFileIsReadAgain(t *testing.T) {
	affine, _ := onnxtest.Model(t, "affine")
	dir := t.TempDir()
	write(t, dir, "model.onnx", affine)
	reg, _, err := Open(t.Context(), dir, "m")
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := reg.Manifest(t.Context(), "m", 1)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "model.onnx", append(affine, 0)) // another file than the one that was found
	if _, _, err := inference.ReadVersion(t.Context(), reg, &manifest); !fault.Is(err, fault.Internal) {
		t.Errorf("a file that was changed: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "model.onnx")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := inference.ReadVersion(t.Context(), reg, &manifest); err == nil {
		t.Error("a file that is gone is read")
	}
}
