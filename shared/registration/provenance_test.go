package registration

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/provenance"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/provenance/signature/signaturetest"
	"github.com/tidegate/tidegate/shared/registry"
)

// statement is what a test looks at.
type statement struct {
	Subject []struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
	Predicate struct {
		RunDetails struct {
			Builder struct{ ID string }
		}
	} `json:"predicate"`
}

// described holds the statement of a version to its manifest, and returns its builder.
func (w *world) described(t *testing.T, m *registry.Manifest) (builder string) {
	t.Helper()
	body, err := w.reg.ReadFile(context.Background(), m, provenance.StatementFile)
	var s statement
	if err != nil || json.Unmarshal(body, &s) != nil {
		t.Fatal(err)
	}
	got, want := map[string]string{}, map[string]string{}
	for _, subject := range s.Subject {
		got[subject.Name] = subject.Digest["sha256"]
	}
	for _, f := range m.Files {
		if f.Path != provenance.StatementFile {
			want[f.Path] = f.SHA256
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("subjects (-files +statement):\n%s", diff)
	}
	return s.Predicate.RunDetails.Builder.ID
}

func TestVersionsSayWhereTheyCameFrom(t *testing.T) {
	for dir, want := range map[string]struct{ builder, metric string }{
		"trained": {provenance.Trainer, `"type": "roc_auc_ovr"`},
		"binary":  {provenance.UnknownBuilder, `"type": "roc_auc"`}, // its record does not describe the model
	} {
		t.Run(dir, func(t *testing.T) {
			w := newWorld(t)
			w.upload(t, dir)
			if _, err := w.r.Run(t.Context(), in()); err != nil {
				t.Fatal(err)
			}
			m, err := w.reg.Verify(t.Context(), "flights", 1)
			if err != nil {
				t.Fatal(err)
			}
			if builder := w.described(t, &m); builder != want.builder {
				t.Errorf("builder %s, want %s", builder, want.builder)
			}
			bom, err := w.reg.ReadFile(t.Context(), &m, provenance.BOMFile)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(bom), want.metric) || !strings.Contains(string(bom), "confidenceInterval") {
				t.Errorf("the model card has no %s with an interval:\n%s", want.metric, bom)
			}
		})
	}
}

// TestStatementsAreOfTheirOwnRegistration: what an earlier one left under the number is about other files.
func TestStatementsAreOfTheirOwnRegistration(t *testing.T) {
	w := newWorld(t)
	w.upload(t, "binary")
	w.store.Delete(folder + metricsFile)
	dying := &lastWrite{Memory: w.store}
	r := *w.r
	r.Registry = registry.New(dying, registry.Options{})
	if _, err := r.Run(t.Context(), in()); err == nil {
		t.Fatal("the manifest was written")
	}
	w.put(t, folder+metricsFile, read(t, "testdata/binary/"+metricsFile))
	out, err := w.r.Run(t.Context(), in())
	if err != nil || out.Version != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	m, err := w.reg.Verify(t.Context(), "flights", 1)
	if err != nil {
		t.Fatal(err)
	}
	w.described(t, &m)
	if f, _ := m.File(provenance.StatementFile); !f.Blob {
		t.Error("the manifest names the statement of the registration that ended early")
	}
}

// lastWrite is a store whose process dies before the manifest.
type lastWrite struct{ *blob.Memory }

func (s *lastWrite) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	if strings.HasSuffix(key, "/manifest.json") {
		return blob.Info{}, errDead
	}
	return s.Memory.Put(ctx, key, body, cond)
}

// attaching is the input that attaches s's signature to a version.
func attaching(t *testing.T, s *signature.Signer, m *registry.Manifest) In {
	t.Helper()
	bundle, err := s.Sign(m.Model, signature.Files(m))
	if err != nil {
		t.Fatal(err)
	}
	return In{Model: m.Model, Version: m.Version, Signature: string(bundle), PublicKey: string(s.Key().PEM())}
}

func TestSignaturesAreAttachedOnce(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t)
	w.upload(t, "binary")
	first, err := w.r.Run(ctx, in())
	if err != nil {
		t.Fatal(err)
	}
	m, err := w.reg.Manifest(ctx, "flights", 1)
	if err != nil {
		t.Fatal(err)
	}
	key, other := signaturetest.Signer(t), signaturetest.Signer(t)
	trust := signature.TrustIn(key.Key())
	if err := trust.Check(ctx, w.reg, &m); !fault.Is(err, fault.FailedPrecondition) {
		t.Fatalf("unsigned: %v", err)
	}
	ask := attaching(t, key, &m)
	out, err := w.r.Run(ctx, ask)
	if err != nil || out.SignedBy != key.Key().ID() || out.Version != 1 || out.Digest != first.Digest || out.Existing {
		t.Fatalf("%+v, %v", out, err)
	}
	if err := trust.Check(ctx, w.reg, &m); err != nil {
		t.Errorf("signed: %v", err)
	}
	if _, err := w.r.Run(ctx, attaching(t, other, &m)); err != nil { // the next key, before the stack trusts it
		t.Errorf("a second key: %v", err)
	}
	if again, err := w.r.Run(ctx, ask); err != nil || again.SignedBy != out.SignedBy {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	if n := len(w.store.Versions(registry.VersionFileKey("flights", 1, key.Key().Path()))); n != 1 {
		t.Errorf("the signature was written %d times", n)
	}
	if again, err := w.r.Run(ctx, in()); err != nil || !again.Existing || again.Digest != first.Digest {
		t.Errorf("registering again: %+v, %v", again, err)
	}
	if _, err := w.reg.Verify(ctx, "flights", 1); err != nil {
		t.Errorf("the version: %v", err)
	}
}

func TestOddSignaturesAreNotStored(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t)
	w.upload(t, "binary")
	if _, err := w.r.Run(ctx, in()); err != nil {
		t.Fatal(err)
	}
	m, err := w.reg.Manifest(ctx, "flights", 1)
	if err != nil {
		t.Fatal(err)
	}
	key, other := signaturetest.Signer(t), signaturetest.Signer(t)
	stored := len(w.keys(t))
	for name, c := range map[string]struct {
		change func(*In)
		kind   fault.Kind
		want   string
	}{
		"another version's": {func(in *In) {
			in.Signature = attaching(t, key, &registry.Manifest{Model: "flights", Files: m.Files[1:]}).Signature
		}, fault.FailedPrecondition, "not signed: model.onnx"},
		"a file more": {func(in *In) {
			in.Signature = attaching(t, key, &registry.Manifest{Files: append(m.Files[:len(m.Files):len(m.Files)], registry.File{Path: "more", SHA256: m.Files[0].SHA256})}).Signature
		}, fault.FailedPrecondition, "signed but not there"},
		"by another key":     {func(in *In) { in.PublicKey = string(other.Key().PEM()) }, fault.FailedPrecondition, "another key"},
		"changed":            {func(in *In) { in.Signature = strings.Replace(in.Signature, `"sig":"M`, `"sig":"N`, 1) }, fault.FailedPrecondition, "not valid"},
		"no bundle":          {func(in *In) { in.Signature = "{}" }, fault.InvalidArgument, "mediaType"},
		"no key":             {func(in *In) { in.PublicKey = "" }, fault.InvalidArgument, "public_key"},
		"an odd key":         {func(in *In) { in.PublicKey = "hello" }, fault.InvalidArgument, "public_key"},
		"no version":         {func(in *In) { in.Version = 0 }, fault.InvalidArgument, "version"},
		"no such version":    {func(in *In) { in.Version = 2 }, fault.NotFound, "version 2"},
		"no such model":      {func(in *In) { in.Model = "flight" }, fault.NotFound, "version 1"},
		"with a source":      {func(in *In) { in.Source = "s3://reg/" + folder }, fault.InvalidArgument, "source"},
		"a number to itself": {func(in *In) { in.Signature, in.PublicKey = "", "" }, fault.InvalidArgument, "version"},
	} {
		in := attaching(t, key, &m)
		c.change(&in)
		if _, err := w.r.Run(ctx, in); !fault.Is(err, c.kind) || !strings.Contains(intact(err), c.want) {
			t.Errorf("%s: %v, want %s with %q", name, err, c.kind, c.want)
		}
	}
	if n := len(w.keys(t)); n != stored {
		t.Errorf("%d objects were stored", n-stored)
	}
}

// intact is a fault's text with its violations.
func intact(err error) string {
	text := err.Error()
	for _, v := range fault.Public(err).Violations {
		text += " " + v.Path
	}
	return text
}

// TestDatasetsAreNamedWithTheirSources, if the run has read them.
func TestDatasetsAreNamedWithTheirSources(t *testing.T) {
	var run struct {
		Inputs struct{ Data struct{ SHA256 string } }
	}
	if err := json.Unmarshal(read(t, "testdata/trained/run.json"), &run); err != nil {
		t.Fatal(err)
	}
	digest := run.Inputs.Data.SHA256
	document := `{"v": 1, "name": "parcels", "number": 3, "digest": "sha256:` + digest + `", "rows": 600, "sources": [{"kind": "table", "bucket": "data", "key": "training/01.csv", "version_id": "v1", "size": 9}]}`
	const source = `"uri": "s3://data/training/01.csv?versionId=v1"`
	for name, c := range map[string]struct {
		asked, document string
		dataset, source bool
	}{
		"pinned":               {`{"dataset": {"name": "parcels", "number": 3, "digest": "sha256:` + digest + `"}}`, document, true, true},
		"without its document": {`{"dataset": {"name": "parcels", "number": 3, "digest": "sha256:` + digest + `"}}`, "", true, false},
		"of another digest":    {`{"dataset": {"name": "parcels", "number": 3, "digest": "sha256:` + strings.Repeat("a", 64) + `"}}`, document, false, false},
		"an odd name":          {`{"dataset": {"name": "../../x", "number": 3, "digest": "sha256:` + digest + `"}}`, document, false, false},
		"of another form":      {`{"dataset": [1]}`, document, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.upload(t, "trained")
			w.put(t, folder+"training.json", []byte(c.asked))
			if c.document != "" {
				w.put(t, registry.DatasetKey("parcels", 3), []byte(c.document))
			}
			if _, err := w.r.Run(t.Context(), in()); err != nil {
				t.Fatal(err)
			}
			m, err := w.reg.Verify(t.Context(), "flights", 1)
			if err != nil {
				t.Fatal(err)
			}
			w.described(t, &m)
			body, err := w.reg.ReadFile(t.Context(), &m, provenance.StatementFile)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(string(body), `"name": "parcels/3"`); got != c.dataset {
				t.Errorf("the dataset is named: %v\n%s", got, body)
			}
			if got := strings.Contains(string(body), source); got != c.source {
				t.Errorf("its source is named: %v\n%s", got, body)
			}
		})
	}
}
