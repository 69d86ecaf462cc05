package registration

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/provenance"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// registered is a world in which testdata/binary is version 1, and that version's manifest.
func registered(t testing.TB) (*world, registry.Manifest) {
	t.Helper()
	dev := newWorld(t)
	dev.upload(t, "binary")
	if _, err := dev.r.Run(context.Background(), in()); err != nil {
		t.Fatal(err)
	}
	m, err := dev.reg.Manifest(context.Background(), "flights", 1)
	if err != nil {
		t.Fatal(err)
	}
	return dev, m
}

// bring puts a version of w, as version import uploads it, under the folder of to.
func (w *world) bring(t testing.TB, m registry.Manifest, to *world) {
	t.Helper()
	for _, f := range m.Files {
		body, err := w.reg.ReadFile(context.Background(), &m, f.Path)
		if err != nil {
			t.Fatal(err)
		}
		to.put(t, folder+f.Path, body)
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	to.put(t, folder+manifestFile, manifest)
}

func carried() In {
	return In{Model: "planes", Task: schema.Binary, Target: "late", Source: "s3://reg/" + folder, Actor: "ops", Carried: true}
}

func TestACarriedVersionIsTheSame(t *testing.T) {
	ctx := context.Background()
	dev, origin := registered(t)
	prod := newWorld(t)
	dev.bring(t, origin, prod)
	out, err := prod.r.Run(ctx, carried())
	if err != nil {
		t.Fatal(err)
	}
	if out.Digest != origin.Digest || out.Version != 1 || out.Existing || !out.Created || len(out.Warnings) > 0 {
		t.Errorf("answer %+v", out)
	}
	m, err := prod.reg.Verify(ctx, "planes", 1)
	if err != nil {
		t.Fatal(err)
	}
	byPath := func(m registry.Manifest) map[string]registry.File {
		files := map[string]registry.File{}
		for _, f := range m.Files {
			files[f.Path] = f
		}
		return files
	}
	if diff := cmp.Diff(byPath(origin), byPath(m)); diff != "" {
		t.Errorf("files (-there +here):\n%s", diff)
	}
	want := registry.Origin{Model: "flights", Version: 1, Runtime: origin.Runtime, Parity: origin.Parity, CreatedAt: origin.CreatedAt, CreatedBy: "tests"}
	if diff := cmp.Diff(&want, m.Origin); diff != "" {
		t.Errorf("origin:\n%s", diff)
	}
	if !m.Parity.Checked || m.Parity.Rows != 60 || m.CreatedBy != "ops" || !cmp.Equal(m.Metrics, origin.Metrics) || !bytes.Equal(compact(t, m.Run), compact(t, origin.Run)) {
		t.Errorf("manifest %+v", m)
	}
	prod.noTemp(t)

	// Again, and once more from here to a third registry: the origin stays the first one.
	again, err := prod.r.Run(ctx, carried())
	if err != nil || !again.Existing || again.Version != 1 {
		t.Errorf("the second time: %+v, %v", again, err)
	}
	third := newWorld(t)
	prod.bring(t, m, third)
	if out, err = third.r.Run(ctx, carried()); err != nil || out.Digest != origin.Digest {
		t.Fatal(out, err)
	}
	last, err := third.reg.Manifest(ctx, "planes", 1)
	if err != nil || !cmp.Equal(last.Origin, m.Origin) {
		t.Errorf("origin after two moves: %+v, %v", last.Origin, err)
	}
}

func compact(t *testing.T, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestACarriedVersionMeetsItsTwin: what is trained and registered here too is the same version.
func TestACarriedVersionMeetsItsTwin(t *testing.T) {
	ctx := context.Background()
	dev, origin := registered(t)
	here, _ := registered(t)
	for info := range here.store.List(ctx, folder, "") {
		here.store.Delete(info.Key)
	}
	dev.bring(t, origin, here)
	in := carried()
	in.Model = "flights"
	out, err := here.r.Run(ctx, in)
	if err != nil || !out.Existing || out.Version != 1 || out.Created {
		t.Errorf("%+v, %v", out, err)
	}
	m, err := here.reg.Manifest(ctx, "flights", 1)
	if err != nil || m.Origin != nil {
		t.Errorf("the manifest that was here has become %+v, %v", m, err)
	}
}

func TestACrashWhileCarrying(t *testing.T) {
	ctx := context.Background()
	dev, origin := registered(t)
	for n := int64(0); ; n++ {
		prod := newWorld(t)
		dev.bring(t, origin, prod)
		dying := &mortal{Store: prod.store}
		dying.left.Store(n)
		r := *prod.r
		r.Registry = registry.New(dying, registry.Options{})
		if _, err := r.Run(ctx, carried()); err == nil {
			if n < 14 {
				t.Errorf("only %d writes", n)
			}
			break
		}
		out, err := prod.r.Run(ctx, carried())
		if err != nil || out.Existing || out.Digest != origin.Digest {
			t.Fatalf("after crash %d: %+v, %v", n, out, err)
		}
		if _, err := prod.reg.Verify(ctx, "planes", out.Version); err != nil {
			t.Errorf("after crash %d: %v", n, err)
		}
	}
}

func TestCarriedVersionsAreNotTrusted(t *testing.T) {
	dev, origin := registered(t)
	// forge changes a file and all digests that name it: only what the file says can give it away.
	forge := func(path string, change func([]byte) []byte) func(*testing.T, *world) {
		return func(t *testing.T, prod *world) {
			m := origin
			m.Files = slices.Clone(origin.Files)
			for i, f := range m.Files {
				if f.Path != path {
					continue
				}
				obj, err := prod.store.Get(context.Background(), folder+path)
				if err != nil {
					t.Fatal(err)
				}
				body := change(obj.Body)
				if bytes.Equal(body, obj.Body) {
					t.Fatal("nothing was changed")
				}
				prod.put(t, folder+path, body)
				m.Files[i] = fileOf(path, body, f.Blob)
			}
			m.Digest = registry.ContentDigest(m.Files)
			body, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			prod.put(t, folder+manifestFile, body)
		}
	}
	put := func(path, body string) func(*testing.T, *world) {
		return func(t *testing.T, prod *world) { prod.put(t, folder+path, []byte(body)) }
	}
	drop := func(path string) func(*testing.T, *world) {
		return func(_ *testing.T, prod *world) { prod.store.Delete(folder + path) }
	}
	other := read(t, "testdata/regression/model.onnx")
	cases := map[string]struct {
		do   func(*testing.T, *world)
		kind fault.Kind
		want string
	}{
		"no manifest":            {drop(manifestFile), fault.NotFound, "manifest.json is not in the source"},
		"no manifest at all":     {put(manifestFile, "[]"), fault.InvalidArgument, "manifest.json is not the manifest"},
		"newer manifest":         {put(manifestFile, `{"v":2}`), fault.Unimplemented, "format 2"},
		"wrong digest":           {put(manifestFile, strings.Replace(string(compactManifest(t, origin)), origin.Digest, "sha256:"+strings.Repeat("0", 64), 1)), fault.InvalidArgument, "the digest is not that of the files"},
		"boundless tolerance":    {put(manifestFile, string(compactManifest(t, tolerating(origin, 1e9)))), fault.InvalidArgument, "tolerance outside of 0 to 1"},
		"negative tolerance":     {put(manifestFile, string(compactManifest(t, tolerating(origin, -1)))), fault.InvalidArgument, "tolerance outside of 0 to 1"},
		"stray file":             {put("state.json", "{}"), fault.InvalidArgument, `holds "state.json", which manifest.json does not list`},
		"missing file":           {drop("holdout.csv"), fault.InvalidArgument, `lists "holdout.csv", which the source does not hold`},
		"other model":            {put("model.onnx", string(other)), fault.InvalidArgument, `"model.onnx" is not the file`},
		"other schema":           {put("schema.json", "{}"), fault.InvalidArgument, `"schema.json" is not the file`},
		"other holdout":          {put("holdout.csv", "x"), fault.InvalidArgument, `"holdout.csv" is not the file`},
		"model of other tensors": {forge("model.onnx", set(string(other))), fault.FailedPrecondition, "schema.json has another signature"},
		"other shape":            {forge("schema.json", replace("-1,\n     2", "-1,\n     7")), fault.FailedPrecondition, "schema.json has another signature"},
		"other output":           {forge("schema.json", replace(`"probabilities"`, `"scores"`)), fault.FailedPrecondition, "schema.json has another signature"},
		"other task":             {forge("schema.json", replace("binary_classification", "regression")), fault.FailedPrecondition, "is of the task regression"},
		"no schema":              {forge("schema.json", set("[]")), fault.InvalidArgument, "schema.json is not a schema document"},
		"no baseline":            {forge("baseline.json", set("[]")), fault.InvalidArgument, "baseline.json is no baseline"},
		"no reference":           {forge("reference.json", set(`{"v":1}`)), fault.InvalidArgument, "reference.json is no reference"},
		"other answers":          {forge("predictions.csv", replace("0.4234423", "0.5")), fault.FailedPrecondition, "answered differently here"},
		"half of the holdout":    {forge("predictions.csv", lines(func(l []string) []string { return l[:30] })), fault.InvalidArgument, "predictions.csv has 29 rows"},
		"another target": {func(_ *testing.T, prod *world) {
			if _, _, err := prod.reg.CreateModel(context.Background(), registry.Model{Name: "planes", Task: schema.Binary, Target: "early"}); err != nil {
				t.Fatal(err)
			}
		}, fault.FailedPrecondition, "which never change"},
		"one file": {nil, fault.InvalidArgument, "must be a folder"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			prod := newWorld(t)
			dev.bring(t, origin, prod)
			in := carried()
			if c.do == nil {
				in.Source += "model.onnx"
			} else {
				c.do(t, prod)
			}
			before := prod.keys(t)
			_, err := prod.r.Run(context.Background(), in)
			if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s …%s…", err, c.kind, c.want)
			}
			if after := prod.keys(t); !slices.Equal(before, after) {
				t.Errorf("it left %v", after)
			}
			prod.noTemp(t)
		})
	}
}

func tolerating(m registry.Manifest, tolerance float64) registry.Manifest {
	m.Parity.Tolerance = tolerance
	return m
}

func compactManifest(t *testing.T, m registry.Manifest) []byte {
	t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestProvenanceOfACarriedVersion: one that brings no statement along gets one, of the model that it is here.
func TestProvenanceOfACarriedVersion(t *testing.T) {
	dev, m := registered(t)
	m.Files = slices.DeleteFunc(slices.Clone(m.Files), func(f registry.File) bool {
		return f.Path == provenance.StatementFile || f.Path == provenance.BOMFile
	})
	m.Digest = registry.ContentDigest(m.Files)
	prod := newWorld(t)
	dev.bring(t, m, prod)
	if _, err := prod.r.Run(t.Context(), carried()); err != nil {
		t.Fatal(err)
	}
	here, err := prod.reg.Verify(t.Context(), "planes", 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{provenance.StatementFile, provenance.BOMFile} {
		body, err := prod.reg.ReadFile(t.Context(), &here, path)
		if err != nil || !bytes.Contains(body, []byte("planes")) {
			t.Errorf("%s does not name the model: %s, %v", path, body, err)
		}
	}
}

// TestOtherFilesComeAlong: what this release does not know is kept too, small or large.
func TestOtherFilesComeAlong(t *testing.T) {
	ctx := context.Background()
	dev, m := registered(t)
	prod := newWorld(t)
	for path, isBlob := range map[string]bool{"sbom/bom.json": false, "explainer.bin": true} {
		f := fileOf(path, []byte("not known "+path), isBlob)
		m.Files = append(m.Files, f)
		key := registry.VersionFileKey("flights", 1, path)
		if isBlob {
			key = registry.BlobKey(f.SHA256)
		}
		if _, err := dev.store.Put(ctx, key, []byte("not known "+path), blob.Always()); err != nil {
			t.Fatal(err)
		}
	}
	dev.bring(t, m, prod)
	if _, err := prod.r.Run(ctx, carried()); err != nil {
		t.Fatal(err)
	}
	got, err := prod.reg.Verify(ctx, "planes", 1)
	if err != nil || len(got.Files) != len(m.Files) {
		t.Fatal(got.Files, err)
	}
	for _, path := range []string{"sbom/bom.json", "explainer.bin"} {
		if body, err := prod.reg.ReadFile(ctx, &got, path); err != nil || string(body) != "not known "+path {
			t.Errorf("%s: %q, %v", path, body, err)
		}
	}
}
