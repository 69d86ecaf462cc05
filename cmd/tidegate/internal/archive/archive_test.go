package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

var update = flag.Bool("update", false, "write testdata/*.golden.*")

// version is what the tests carry, by path; what ends in .onnx or .csv lies among the blobs.
var version = map[string]string{
	"model.onnx":    strings.Repeat("model ", 100),
	"schema.json":   "{\"v\": 1}\n",
	"holdout.csv":   "",
	"predictions":   strings.Repeat("x", block), // no padding at all
	"sbom/bom.json": "{}",
}

func file(path string, body []byte) registry.File {
	sum := sha256.Sum256(body)
	isBlob := strings.HasSuffix(path, ".onnx") || strings.HasSuffix(path, ".csv")
	return registry.File{Path: path, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:]), Blob: isBlob}
}

// stored registers files as flights@1.
func stored(t testing.TB, store blob.Store, files map[string]string) *registry.Registry {
	t.Helper()
	ctx := context.Background()
	reg := registry.New(store, registry.Options{Now: func() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }})
	if _, _, err := reg.CreateModel(ctx, registry.Model{Name: "flights", Task: schema.Binary, Target: "late"}); err != nil {
		t.Fatal(err)
	}
	m := registry.Manifest{Model: "flights", Version: 1, Runtime: "onnxruntime 1.27.0", CreatedBy: "tests", Parity: registry.Parity{Checked: true, Rows: 60}}
	for path, body := range files {
		f := file(path, []byte(body))
		var err error
		if f.Blob {
			err = reg.PutBlob(ctx, f.SHA256, strings.NewReader(body), f.Size)
		} else {
			_, err = reg.PutVersionFile(ctx, "flights", 1, path, []byte(body))
		}
		if err != nil {
			t.Fatal(err)
		}
		m.Files = append(m.Files, f)
	}
	slices.SortFunc(m.Files, func(a, b registry.File) int { return strings.Compare(b.Path, a.Path) }) // not the archive's order
	m.Digest = registry.ContentDigest(m.Files)
	if _, _, err := reg.PutManifest(ctx, m); err != nil {
		t.Fatal(err)
	}
	return reg
}

func written(t testing.TB, compress bool) []byte {
	t.Helper()
	var b bytes.Buffer
	reg := stored(t, &blob.Memory{}, version)
	if _, err := Write(context.Background(), &b, reg, "flights", 1, Options{Compress: compress}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// scratch is a temporary file in memory.
type scratch struct{ bytes.Buffer }

func (s *scratch) ReadAt(p []byte, at int64) (int, error) {
	return bytes.NewReader(s.Bytes()).ReadAt(p, at)
}

func open(archive []byte) (*Archive, error) { return Read(bytes.NewReader(archive), &scratch{}) }

// checkWhole reads every file of an archive of version.
func checkWhole(t *testing.T, a *Archive) {
	t.Helper()
	if a.Index.Model != (Model{"flights", schema.Binary, "late"}) || a.Index.Version != 1 || a.Index.Digest != a.Manifest.Digest || len(a.Index.Files) != len(version)+1 {
		t.Errorf("index %+v", a.Index)
	}
	for _, f := range a.Index.Files[1:] {
		body, err := io.ReadAll(a.Open(f))
		if err != nil || string(body) != version[f.Name()] {
			t.Errorf("%s: %d bytes, %v", f.Path, len(body), err)
		}
	}
	if m, err := io.ReadAll(a.Open(a.Index.Files[0])); err != nil || !bytes.Contains(m, []byte(`"tests"`)) {
		t.Errorf("manifest %q, %v", m, err)
	}
}

func TestRoundTrip(t *testing.T) {
	for name, compress := range map[string]bool{"tar": false, "tar.zst": true} {
		t.Run(name, func(t *testing.T) {
			one, two := written(t, compress), written(t, compress)
			if !bytes.Equal(one, two) {
				t.Error("the bytes differ from one time to the next")
			}
			a, err := open(one)
			if err != nil {
				t.Fatal(err)
			}
			checkWhole(t, a)
		})
	}
}

// TestOldArchivesLoad: the archives in testdata must be readable, and the tar be written alike, for ever.
func TestOldArchivesLoad(t *testing.T) {
	for name, compress := range map[string]bool{"v1.golden.tar": false, "v1.golden.tar.zst": true} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, written(t, compress), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		a, err := open(old)
		if err != nil {
			t.Fatal(err)
		}
		checkWhole(t, a)
		if !compress && !bytes.Equal(old, written(t, false)) {
			t.Error("the tar is written differently now; archives are to be the same bytes in every release")
		}
	}
}

// TestOtherProgramsReadIt: an archive is a plain tar.
func TestOtherProgramsReadIt(t *testing.T) {
	var names []string
	for r := tar.NewReader(bytes.NewReader(written(t, false))); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil || int64(len(body)) != h.Size || h.Mode != 0o644 || h.Typeflag != tar.TypeReg {
			t.Errorf("%+v, %d bytes, %v", h, len(body), err)
		}
		names = append(names, h.Name)
	}
	want := []string{"index.json", "index.sha256", "manifest.json", "files/holdout.csv", "files/model.onnx", "files/predictions", "files/sbom/bom.json", "files/schema.json"}
	if !slices.Equal(names, want) {
		t.Errorf("entries %v", names)
	}
}

// TestEveryFlippedByteIsRefused: nothing in a tar is without meaning. The frame around it
// has bits that say nothing of the content, which is checked all the same.
func TestEveryFlippedByteIsRefused(t *testing.T) {
	for name, compress := range map[string]bool{"tar": false, "tar.zst": true} {
		good := written(t, compress)
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			a, err := open(bad)
			if err == nil && compress {
				checkWhole(t, a)
				continue
			}
			if err == nil {
				t.Fatalf("%s: byte %d is flipped and nobody says so (%+v)", name, i, a.Index)
			}
			if k := fault.KindOf(err); k != fault.InvalidArgument && k != fault.Unimplemented {
				t.Fatalf("%s: byte %d: %v", name, i, err)
			}
		}
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	for name, compress := range map[string]bool{"tar": false, "tar.zst": true} {
		good := written(t, compress)
		for n := range good {
			if _, err := open(good[:n]); !fault.Is(err, fault.InvalidArgument) {
				t.Fatalf("%s of %d bytes: %v", name, n, err)
			}
		}
		for _, more := range []string{"\x00", "x", string(good), strings.Repeat("\x00", 512)} {
			if _, err := open(append(bytes.Clone(good), more...)); !fault.Is(err, fault.InvalidArgument) {
				t.Errorf("%s with %d bytes more: %v", name, len(more), err)
			}
		}
	}
}

func TestWriteRefusesADamagedVersion(t *testing.T) {
	ctx := context.Background()
	damage := map[string]func(m *blob.Memory, key string) error{
		"another content": func(m *blob.Memory, key string) error {
			_, err := m.Put(ctx, key, []byte(strings.Repeat("madel ", 100)), blob.Always())
			return err
		},
		"longer": func(m *blob.Memory, key string) error {
			_, err := m.Put(ctx, key, []byte(strings.Repeat("model ", 101)), blob.Always())
			return err
		},
		"gone": func(m *blob.Memory, key string) error { m.Delete(key); return nil },
	}
	for name, do := range damage {
		store := &blob.Memory{}
		reg := stored(t, store, version)
		if err := do(store, registry.BlobKey(file("model.onnx", []byte(version["model.onnx"])).SHA256)); err != nil {
			t.Fatal(err)
		}
		if _, err := Write(ctx, io.Discard, reg, "flights", 1, Options{}); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	reg := stored(t, &blob.Memory{}, version)
	for name, err := range map[string]error{"model": second(Write(ctx, io.Discard, reg, "nobody", 1, Options{})), "version": second(Write(ctx, io.Discard, reg, "flights", 2, Options{}))} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("no such %s: %v", name, err)
		}
	}
	for left := 0; left < 600; left += 30 {
		for _, compress := range []bool{false, true} {
			if _, err := Write(ctx, &full{left: left}, reg, "flights", 1, Options{Compress: compress}); !fault.Is(err, fault.Unavailable) {
				t.Errorf("a full disk after %d bytes: %v", left, err)
			}
		}
	}
	long := map[string]string{"model.onnx": "m", strings.Repeat("a", 100) + "/" + strings.Repeat("b", 100) + "/" + strings.Repeat("c", 100): "x"}
	if _, err := Write(ctx, io.Discard, stored(t, &blob.Memory{}, long), "flights", 1, Options{}); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("a path that no header holds: %v", err)
	}
}

func second(_ Index, err error) error { return err }

// full is a disk with so many bytes left.
type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

func TestReadTellsAFullDisk(t *testing.T) {
	_, err := Read(bytes.NewReader(written(t, true)), &fullScratch{full{1000}})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "TMPDIR") {
		t.Error(err)
	}
}

type fullScratch struct{ full }

func (f *fullScratch) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

// endless is a store whose model is made as it is read.
type endless struct {
	*blob.Memory
	size int64
	key  string
}

func (e *endless) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error) {
	if key != e.key {
		return e.Memory.Open(ctx, key, offset, length)
	}
	return io.NopCloser(io.LimitReader(zeros{}, e.size)), blob.Info{Key: key, Size: e.size}, nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestLargeModelsAreNotHeld carries a model of 192 MiB through 16 MiB of memory.
func TestLargeModelsAreNotHeld(t *testing.T) {
	const size = 192 << 20
	h := sha256.New()
	if _, err := io.CopyN(h, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	f := registry.File{Path: "model.onnx", Size: size, SHA256: hex.EncodeToString(h.Sum(nil)), Blob: true}
	store := &endless{Memory: &blob.Memory{}, size: size, key: registry.BlobKey(f.SHA256)}
	reg := registry.New(store, registry.Options{})
	ctx := context.Background()
	if _, _, err := reg.CreateModel(ctx, registry.Model{Name: "flights"}); err != nil {
		t.Fatal(err)
	}
	m := registry.Manifest{Model: "flights", Version: 1, Digest: registry.ContentDigest([]registry.File{f}), Files: []registry.File{f}, Runtime: "x"}
	if _, _, err := reg.PutManifest(ctx, m); err != nil {
		t.Fatal(err)
	}
	for _, compress := range []bool{false, true} {
		out, err := os.Create(filepath.Join(t.TempDir(), "archive"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		unpacked, err := os.Create(out.Name() + ".unpacked")
		if err != nil {
			t.Fatal(err)
		}
		defer unpacked.Close()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := Write(ctx, out, reg, "flights", 1, Options{Compress: compress}); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		a, err := Read(out, unpacked)
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if all := after.TotalAlloc - before.TotalAlloc; all > 64<<20 {
			t.Errorf("compressed %v: %d MiB of memory were taken", compress, all>>20)
		}
		if end, err := a.Open(a.Index.Files[1]).Seek(0, io.SeekEnd); err != nil || end != size {
			t.Errorf("the model has %d bytes, %v", end, err)
		}
	}
}
