package command

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference/onnx/onnxtest"
	"github.com/tidegate/tidegate/shared/registration"
	"github.com/tidegate/tidegate/shared/registry"
)

// registering is a cloud whose register step is the real one.
func registering(t *testing.T) *cloud {
	t.Helper()
	c := newCloud(t)
	c.real = &registration.Registrar{Bucket: "registry", Uploads: c.store, Registry: c.reg, Runtime: onnxtest.Runtime(t),
		Now: func() time.Time { return c.clock }, Dir: t.TempDir()}
	return c
}

const trained = "../../../../shared/registration/testdata/binary"

func (c *cloud) must(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := c.run(args...)
	if code != ExitOK {
		t.Fatalf("%v: exit code %d\n%s%s", args, code, out, errs)
	}
	return out
}

// TestFromDevToProd carries a version from one stack to another and back into a file.
func TestFromDevToProd(t *testing.T) {
	dev, prod := registering(t), registering(t)
	dev.must(t, "version", "register", trained, "--model", "flights")
	dev.must(t, "version", "register", trained, "--model", "flights") // the same
	want, err := dev.reg.Manifest(t.Context(), "flights", 1)
	if err != nil {
		t.Fatal(err)
	}
	prod.must(t, "version", "register", write(t, "other.onnx", string(load(t, "../../../../shared/registration/testdata/models/double.onnx"))), "--model", "other")
	for _, ending := range []string{".tar", ".tar.zst"} {
		path := filepath.Join(t.TempDir(), "flights-1"+ending)
		if out := dev.must(t, "version", "export", "flights", "1", "-o", path, "--json"); !strings.Contains(out, want.Digest) {
			t.Errorf("export says %s", out)
		}
		first := load(t, path)
		dev.must(t, "version", "export", "flights", "1", "-o", path) // over it
		if !bytes.Equal(first, load(t, path)) {
			t.Error("the second archive has other bytes")
		}
		out := prod.must(t, "version", "import", path)
		if again := ending != ".tar"; strings.Contains(out, "already registered as flights@1") != again || !strings.Contains(out, short(want.Digest)) {
			t.Errorf("import says %s", out)
		}
	}
	got, err := prod.reg.Verify(t.Context(), "flights", 1)
	if err != nil || got.Digest != want.Digest || len(got.Files) != len(want.Files) || !got.Parity.Checked || got.Origin == nil || got.Origin.Version != 1 {
		t.Errorf("prod has %+v, %v", got, err)
	}
	model, err := prod.reg.Model(t.Context(), "flights")
	if err != nil || model.Target != "late" || model.Task != "binary_classification" {
		t.Errorf("prod has the model %+v, %v", model, err)
	}

	// Out of prod again, into a third stack, under another name and number: the same files and digest.
	third, path := registering(t), filepath.Join(t.TempDir(), "prod.tar")
	prod.must(t, "version", "export", "flights", "1", "-o", path)
	var out registration.Out
	if err := json.Unmarshal([]byte(third.must(t, "version", "import", path, "--model", "planes", "--json")), &out); err != nil || out.Digest != want.Digest || out.Model != "planes" {
		t.Errorf("%+v, %v", out, err)
	}
	for _, f := range want.Files {
		one, err := dev.reg.ReadFile(t.Context(), &want, f.Path)
		if err != nil {
			t.Fatal(err)
		}
		last, err := third.reg.Manifest(t.Context(), "planes", 1)
		if err != nil {
			t.Fatal(err)
		}
		if two, err := third.reg.ReadFile(t.Context(), &last, f.Path); err != nil || !bytes.Equal(one, two) {
			t.Errorf("%s is another file after two moves: %v", f.Path, err)
		}
	}
}

func load(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestABrokenArchiveTouchesNothing: not even the stack is looked for.
func TestABrokenArchiveTouchesNothing(t *testing.T) {
	dev, prod := registering(t), registering(t)
	dev.must(t, "version", "register", trained, "--model", "flights")
	path := filepath.Join(t.TempDir(), "a.tar")
	dev.must(t, "version", "export", "flights", "1", "-o", path)
	good := load(t, path)
	at := bytes.Index(good, []byte("dep_delay,distance,carrier"))
	if at < 0 {
		t.Fatal("no holdout in the archive")
	}
	tampered := bytes.Clone(good)
	tampered[at+40] ^= 1
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"tampered": {tampered, "files/holdout.csv in the archive does not have its digest"},
		"cut":      {good[:at+100], "the archive ends in files/holdout.csv"},
		"no tar":   {[]byte("PK\x03\x04 something else"), "the archive ends in index.json"},
		"other":    {bytes.Repeat([]byte("x"), 2000), "does not begin with the index.json"},
	} {
		code, out, errs := prod.run("version", "import", write(t, "bad.tar", string(c.data)), "--stack", "elsewhere")
		if code != ExitError || out != "" || !strings.Contains(errs, c.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q, %q", name, code, out, errs)
		}
	}
	if n := len(prod.invoke); n > 0 {
		t.Errorf("%d steps ran", n)
	}
	prod.fail = func(string) error { return fault.New(fault.Unavailable, "later") }
	if code, _, errs := prod.run("version", "import", path); code != ExitError || !strings.Contains(errs, "later") {
		t.Errorf("exit code %d, %q", code, errs)
	}
	if _, err := prod.reg.Model(t.Context(), "flights"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

func TestExportRefuses(t *testing.T) {
	dev := registering(t)
	dev.must(t, "version", "register", trained, "--model", "flights")
	folder := t.TempDir()
	for name, args := range map[string][]string{
		"no such version": {"flights", "2", "-o", folder + "/a.tar"},
		"no such model":   {"nobody", "1", "-o", folder + "/a.tar"},
		"no number":       {"flights", "latest", "-o", folder + "/a.tar"},
		"no file":         {"flights", "1"},
		"another ending":  {"flights", "1", "-o", folder + "/a.zip"},
		"no such folder":  {"flights", "1", "-o", folder + "/none/a.tar"},
	} {
		if code, out, errs := dev.run(append([]string{"version", "export"}, args...)...); code != ExitError || out != "" || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q, %q", name, code, out, errs)
		}
	}
	m, err := dev.reg.Manifest(t.Context(), "flights", 1)
	if err != nil {
		t.Fatal(err)
	}
	f, _ := m.File("model.onnx")
	dev.store.Delete(registry.BlobKey(f.SHA256))
	if code, _, errs := dev.run("version", "export", "flights", "1", "-o", folder+"/a.tar"); code != ExitError || !strings.Contains(errs, "is damaged") {
		t.Errorf("exit code %d, %q", code, errs)
	}
	if left, _ := filepath.Glob(folder + "/*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if left, _ := filepath.Glob(folder + "/.*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
