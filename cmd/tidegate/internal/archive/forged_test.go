package archive

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// entry is one of a hand-made archive; link makes it a symbolic link.
type entry struct{ name, body, link string }

// forged packs entries as a program would that means harm: every sum is right.
func forged(t testing.TB, index Index, entries []entry) []byte {
	t.Helper()
	encoded, err := index.encode()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range append([]entry{{name: indexName, body: string(encoded)}, {name: sumName, body: string(sum(encoded))}}, entries...) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Size: int64(len(e.body)), Mode: 0o644}
		if e.link != "" {
			h.Typeflag, h.Linkname, h.Size, e.body = tar.TypeSymlink, e.link, 0, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// forgery is an archive of two files before it is packed.
type forgery struct {
	index    Index
	manifest registry.Manifest
	entries  []entry
}

func newForgery(t testing.TB) *forgery {
	files := []registry.File{file("model.onnx", []byte("model")), file("schema.json", []byte("{}"))}
	f := &forgery{manifest: registry.Manifest{V: 1, Model: "flights", Version: 1, Files: files, Digest: registry.ContentDigest(files)}}
	f.entries = []entry{{}, {name: "files/model.onnx", body: "model"}, {name: "files/schema.json", body: "{}"}}
	f.seal(t)
	return f
}

// seal makes index and manifest fit one another again.
func (f *forgery) seal(t testing.TB) {
	body, err := json.Marshal(f.manifest)
	if err != nil {
		t.Fatal(err)
	}
	f.entries[0] = entry{name: manifestName, body: string(body)}
	f.index = newIndex(registry.Model{Name: "flights", Task: schema.Binary}, &f.manifest, body)
}

func TestForgedArchivesAreRefused(t *testing.T) {
	cases := map[string]struct {
		do   func(f *forgery)
		want string
	}{
		"out of the folder": {func(f *forgery) {
			f.manifest.Files[1].Path = "../../state.json"
			f.seal(t)
			f.entries[2].name = "files/../../state.json"
		}, `"../../state.json"`},
		"absolute path":        {func(f *forgery) { f.index.Files[2].Path = "/etc/passwd" }, `"/etc/passwd", which is not under files/`},
		"absolute entry":       {func(f *forgery) { f.entries[2].name = "/files/schema.json" }, "something else where its index says files/schema.json"},
		"symbolic link":        {func(f *forgery) { f.entries[2].link = "/etc/passwd" }, "something else where its index says files/schema.json"},
		"listed twice":         {func(f *forgery) { f.index.Files = append(f.index.Files, f.index.Files[2]) }, `lists "files/schema.json" twice`},
		"packed twice":         {func(f *forgery) { f.entries = append(f.entries, f.entries[2]) }, "bytes after its end"},
		"not in the index":     {func(f *forgery) { f.entries = append(f.entries, entry{name: "files/x", body: "x"}) }, "bytes after its end"},
		"not in the manifest":  {func(f *forgery) { f.index.Files = append(f.index.Files, File{"files/x", 0, f.index.Files[2].SHA256}) }, "different versions"},
		"missing":              {func(f *forgery) { f.entries = f.entries[:2] }, "where its index says files/schema.json"},
		"in another order":     {func(f *forgery) { f.entries[1], f.entries[2] = f.entries[2], f.entries[1] }, "where its index says files/model.onnx"},
		"oversized":            {func(f *forgery) { f.index.Files[1].Size = MaxFile + 1 }, `gives "files/model.onnx" 5368709121 bytes`},
		"oversized together":   {func(f *forgery) { f.many(4) }, "lists more than"},
		"negative size":        {func(f *forgery) { f.index.Files[1].Size = -1 }, `gives "files/model.onnx" -1 bytes`},
		"longer than it says":  {func(f *forgery) { f.entries[1].body += "!" }, "where its index says files/model.onnx"},
		"another content":      {func(f *forgery) { f.entries[1].body = "madel" }, "files/model.onnx in the archive does not have its digest"},
		"another manifest":     {func(f *forgery) { f.entries[0].body = strings.Replace(f.entries[0].body, "flights", "florida", 1) }, "manifest.json in the archive does not have its digest"},
		"manifest of no model": {func(f *forgery) { f.manifest.Files = f.manifest.Files[1:]; f.seal(t) }, "model.onnx is not listed"},
		"wrong digest":         {func(f *forgery) { f.manifest.Digest = "sha256:" + strings.Repeat("0", 64); f.seal(t) }, "the digest is not that of the files"},
		"index of another":     {func(f *forgery) { f.index.Version = 2 }, "different versions"},
		"no manifest":          {func(f *forgery) { f.index.Files = f.index.Files[1:] }, "does not begin with a manifest.json"},
		"no files":             {func(f *forgery) { f.index.Files = nil }, "does not begin with a manifest.json"},
		"no digest":            {func(f *forgery) { f.index.Files[1].SHA256 = "sha256:" + f.index.Files[1].SHA256 }, `gives "files/model.onnx" no sha256`},
		"no model name":        {func(f *forgery) { f.index.Model.Name = "../x" }, "names no model"},
		"no task":              {func(f *forgery) { f.index.Model.Task = "guess" }, "names no model, or a task"},
		"another kind of file": {func(f *forgery) { f.index.Kind = "backup" }, "does not describe a version"},
		"large manifest":       {func(f *forgery) { f.index.Files[0].Size = maxManifest + 1 }, "manifest.json of at most"},
	}
	if _, err := open(forged(t, newForgery(t).index, newForgery(t).entries)); err != nil {
		t.Fatalf("the archive that the cases start from: %v", err)
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newForgery(t)
			c.do(f)
			_, err := open(forged(t, f.index, f.entries))
			if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
	f := newForgery(t)
	f.index.V = 2
	if _, err := open(forged(t, f.index, f.entries)); !fault.Is(err, fault.Unimplemented) {
		t.Errorf("a newer archive: %v", err)
	}
	f = newForgery(t)
	f.manifest.V = 2
	f.seal(t)
	if _, err := open(forged(t, f.index, f.entries)); !fault.Is(err, fault.Unimplemented) {
		t.Errorf("a newer manifest: %v", err)
	}
}

// many lists n files of the largest size.
func (f *forgery) many(n int) {
	for range n {
		last := f.index.Files[len(f.index.Files)-1]
		f.index.Files = append(f.index.Files, File{last.Path + "0", MaxFile, last.SHA256})
	}
}

// FuzzRead: whatever the reader accepts it can give back, and what it does not it
// refuses as bad input.
func FuzzRead(f *testing.F) {
	small := newForgery(f)
	plain := forged(f, small.index, small.entries)
	f.Add(plain)
	f.Add(written(f, true))
	f.Add(plain[:700])
	f.Add([]byte{})
	z, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(z.EncodeAll(plain, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := open(data)
		if err != nil {
			if k := fault.KindOf(err); k != fault.InvalidArgument && k != fault.Unimplemented {
				t.Fatalf("%s: %v", k, err)
			}
			return
		}
		total := int64(0)
		for _, file := range a.Index.Files {
			body := make([]byte, file.Size)
			if n, err := a.Open(file).Read(body); int64(n) != file.Size || err != nil && file.Size > 0 {
				t.Fatalf("%s: %d bytes, %v", file.Path, n, err)
			}
			total += file.Size
		}
		if a.Manifest.Digest != registry.ContentDigest(a.Manifest.Files) || total == 0 {
			t.Fatalf("accepted %+v", a.Index)
		}
	})
}
