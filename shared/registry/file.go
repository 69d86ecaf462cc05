package registry

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// identity lists the files that make a version what it is. Others (run records,
// references, provenance) may differ between two registrations of one version.
var identity = []string{"baseline.json", "model.onnx", "schema.json"}

// ContentDigest is the digest of a version: "sha256:" and the sha256 of one line
// "<sha256> <size> <path>\n" per identity file (baseline.json, model.onnx,
// schema.json, those there are), sorted by path. Other files do not count.
func ContentDigest(files []File) string {
	counted := slices.DeleteFunc(slices.Clone(files), func(f File) bool { return !slices.Contains(identity, f.Path) })
	slices.SortFunc(counted, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, f := range counted {
		fmt.Fprintf(h, "%s %d %s\n", Hex(f.SHA256), f.Size, f.Path)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// RenewAfter is from what age on a blob that is there already is written again. Nothing may
// refer to an old blob any more, and then it may be collected at any time (shared/garbage):
// what a caller was told is stored has to stay until something refers to it. The collector
// removes versions of objects, never the one that is written here, and never anything
// younger than a day.
const RenewAfter = 12 * time.Hour

// PutBlob stores size bytes of r, read from its start, under their digest, which
// must be right: InvalidArgument if it is not. A blob that is already there is
// left alone, unless it is old ([RenewAfter]).
func (r *Registry) PutBlob(ctx context.Context, digest string, body io.ReadSeeker, size int64) error {
	if err := CheckDigest(digest); err != nil {
		return err
	}
	h := sha256.New()
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return fault.Wrap(err, fault.Internal, "the blob cannot be read")
	}
	n, err := io.Copy(h, body)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the blob cannot be read")
	}
	if n != size || hex.EncodeToString(h.Sum(nil)) != Hex(digest) {
		return fault.New(fault.InvalidArgument, "the blob has %d bytes and another digest than announced (%d bytes)", n, size)
	}
	key := BlobKey(digest)
	err = r.persist(ctx, func() error {
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return fault.Wrap(err, fault.Internal, "the blob cannot be read again")
		}
		_, err := r.store.PutStream(ctx, key, body, size, blob.Once())
		if !fault.Is(err, fault.FailedPrecondition) {
			return err
		}
		info, err := r.store.Head(ctx, key)
		switch {
		case fault.Is(err, fault.NotFound): // collected in between
			return fault.Wrap(err, fault.Aborted, "%s is gone", key)
		case err != nil:
			return err
		case info.Size != size:
			return damaged(key, fmt.Errorf("%d bytes are stored, %d have the digest", info.Size, size))
		case r.now().Sub(info.Modified) < RenewAfter:
			return nil
		}
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return fault.Wrap(err, fault.Internal, "the blob cannot be read again")
		}
		_, err = r.store.PutStream(ctx, key, body, size, blob.Always()) // the same bytes: whoever wins
		return err
	})
	if err != nil {
		return fmt.Errorf("registry: put a blob: %w", err)
	}
	return nil
}

// ReadBlob reads the blob with the given digest and checks it. NotFound when
// there is none, Internal when its content has another digest.
func (r *Registry) ReadBlob(ctx context.Context, digest string) ([]byte, error) {
	if err := CheckDigest(digest); err != nil {
		return nil, err
	}
	return r.readChecked(ctx, BlobKey(digest), digest)
}

// HasBlob says whether there is a blob with the given digest. Its content is not read.
func (r *Registry) HasBlob(ctx context.Context, digest string) (bool, error) {
	if err := CheckDigest(digest); err != nil {
		return false, err
	}
	_, err := r.store.Head(ctx, BlobKey(digest))
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("registry: look for a blob: %w", err)
	}
	return true, nil
}

// OpenBlob streams the blob with the given digest, which nobody checks on the way.
// NotFound when there is none.
func (r *Registry) OpenBlob(ctx context.Context, digest string) (io.ReadCloser, error) {
	if err := CheckDigest(digest); err != nil {
		return nil, err
	}
	body, _, err := r.store.Open(ctx, BlobKey(digest), 0, -1)
	if err != nil {
		return nil, fmt.Errorf("registry: open a blob: %w", err)
	}
	return body, nil
}

func (r *Registry) readChecked(ctx context.Context, key, digest string) ([]byte, error) {
	obj, err := r.store.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("registry: read %s: %w", key, err)
	}
	if sum := sha256.Sum256(obj.Body); hex.EncodeToString(sum[:]) != Hex(digest) {
		return nil, damaged(key, fmt.Errorf("its content does not have the digest %s", digest))
	}
	return obj.Body, nil
}

// PutVersionFile stores a small file of a version and returns what is stored
// under its path: the body, or what an earlier registration of the version left.
func (r *Registry) PutVersionFile(ctx context.Context, model string, version int, path string, body []byte) (stored []byte, err error) {
	if err := cmp.Or(CheckName(model), CheckVersion(version)); err != nil {
		return nil, err
	}
	if !isPath(path) || path == "claim.json" || path == "manifest.json" {
		return nil, fault.Invalid(fault.Violation{Path: "path", Problem: "cannot name a file of a version"})
	}
	stored, _, err = r.putOnce(ctx, VersionFileKey(model, version, path), body)
	if err != nil {
		return nil, fmt.Errorf("registry: put %s of %s@%d: %w", path, model, version, err)
	}
	return stored, nil
}

// ReadVersionFile reads a file that PutVersionFile stored beside those of the
// manifest, which vouches for nothing of it. NotFound when there is none.
func (r *Registry) ReadVersionFile(ctx context.Context, model string, version int, path string) ([]byte, error) {
	if err := cmp.Or(CheckName(model), CheckVersion(version)); err != nil {
		return nil, err
	}
	obj, err := r.store.Get(ctx, VersionFileKey(model, version, path))
	if err != nil {
		return nil, fmt.Errorf("registry: read %s of %s@%d: %w", path, model, version, err)
	}
	return obj.Body, nil
}

// PutManifest makes a version READY and returns what is stored; it is the last
// write of a registration. existing is true when the version was READY before;
// another digest under the number is AlreadyExists. V is set here, CreatedAt when zero.
func (r *Registry) PutManifest(ctx context.Context, m Manifest) (stored Manifest, existing bool, err error) {
	m.V = ManifestVersion
	if m.CreatedAt.IsZero() {
		m.CreatedAt = r.now()
	}
	if err := cmp.Or(CheckName(m.Model), CheckVersion(m.Version)); err != nil {
		return Manifest{}, false, err
	}
	if err := checkManifest(&m); err != nil {
		return Manifest{}, false, fault.Wrap(err, fault.InvalidArgument, "the manifest is not complete: %v", err)
	}
	body, err := encode(m)
	if err != nil {
		return Manifest{}, false, err
	}
	body, created, err := r.putOnce(ctx, ManifestKey(m.Model, m.Version), body)
	if err != nil {
		return Manifest{}, false, fmt.Errorf("registry: put manifest of %s@%d: %w", m.Model, m.Version, err)
	}
	if stored, err = ParseManifest(m.Model, m.Version, body); err != nil {
		return Manifest{}, false, err
	}
	if stored.Digest != m.Digest {
		return stored, true, fault.New(fault.AlreadyExists, "version %d of model %q holds other files", m.Version, m.Model)
	}
	return stored, !created, nil
}

// Manifest reads the manifest of a READY version; NotFound for any other.
func (r *Registry) Manifest(ctx context.Context, model string, version int) (Manifest, error) {
	if err := cmp.Or(CheckName(model), CheckVersion(version)); err != nil {
		return Manifest{}, err
	}
	obj, err := r.store.Get(ctx, ManifestKey(model, version))
	if fault.Is(err, fault.NotFound) {
		return Manifest{}, fault.Wrap(err, fault.NotFound, "model %q has no version %d that is ready", model, version)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("registry: read manifest of %s@%d: %w", model, version, err)
	}
	return ParseManifest(model, version, obj.Body)
}

// ParseManifest reads a stored manifest and checks that it describes version of
// model and that its digest is that of its files. Anything else is Internal.
func ParseManifest(model string, version int, body []byte) (Manifest, error) {
	var m Manifest
	key := ManifestKey(model, version)
	if err := decode(key, body, &m); err != nil {
		return Manifest{}, err
	}
	if m.V > ManifestVersion {
		return Manifest{}, tooNew(key, m.V, ManifestVersion)
	}
	if m.Model != model || m.Version != version {
		return Manifest{}, damaged(key, fmt.Errorf("it describes another version"))
	}
	if err := checkManifest(&m); err != nil {
		return Manifest{}, damaged(key, err)
	}
	return m, nil
}

// ReadManifest reads the manifest of whatever version of whatever registry, as a
// copy brings it along: nothing in it need be true but that it is complete in
// itself. Errors: InvalidArgument; Unimplemented for a format that is too new.
func ReadManifest(body []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		return Manifest{}, fault.Wrap(err, fault.InvalidArgument, "manifest.json is not the manifest of a version")
	}
	if m.V > ManifestVersion {
		return Manifest{}, fault.New(fault.Unimplemented, "manifest.json has format %d, this program reads up to %d; use the newer release", m.V, ManifestVersion)
	}
	err := cmp.Or(CheckName(m.Model), CheckVersion(m.Version), checkManifest(&m))
	return m, fault.Wrap(err, fault.InvalidArgument, "manifest.json is not the manifest of a version: %v", err)
}

func checkManifest(m *Manifest) error {
	seen := map[string]bool{}
	for _, f := range m.Files {
		if !isPath(f.Path) || seen[f.Path] || f.Size < 0 || CheckDigest(f.SHA256) != nil {
			return fmt.Errorf("file %q has no valid path, size or sha256, or is listed twice", f.Path)
		}
		seen[f.Path] = true
	}
	if !seen["model.onnx"] {
		return fmt.Errorf("model.onnx is not listed")
	}
	if m.Digest != ContentDigest(m.Files) {
		return fmt.Errorf("the digest is not that of the files")
	}
	return nil
}

func fileKey(m *Manifest, f File) string {
	if f.Blob {
		return BlobKey(f.SHA256)
	}
	return VersionFileKey(m.Model, m.Version, f.Path)
}

// ReadFile reads a file of a version and checks its digest. NotFound when the
// manifest does not list path or the object is gone; Internal on a mismatch.
func (r *Registry) ReadFile(ctx context.Context, m *Manifest, path string) ([]byte, error) {
	f, ok := m.File(path)
	if !ok {
		return nil, fault.New(fault.NotFound, "version %d of model %q has no file %s", m.Version, m.Model, path)
	}
	return r.readChecked(ctx, fileKey(m, f), f.SHA256)
}

// Verify reads every byte of a version and compares it with the manifest, which
// it returns. NotFound when the version is not READY; Internal when a file is
// missing or differs. Files are streamed: memory stays small.
func (r *Registry) Verify(ctx context.Context, model string, version int) (Manifest, error) {
	m, err := r.Manifest(ctx, model, version)
	if err != nil {
		return Manifest{}, err
	}
	for _, f := range m.Files {
		if err := r.CopyFile(ctx, io.Discard, &m, f); err != nil {
			return Manifest{}, fmt.Errorf("registry: verify %s@%d: %w", model, version, err)
		}
	}
	return m, nil
}

// CopyFile writes a file of a version to w and checks it on the way: after an error
// what was written does not count. Internal when the file is missing or differs
// from what the manifest says; an error of w is what w gave.
func (r *Registry) CopyFile(ctx context.Context, w io.Writer, m *Manifest, f File) error {
	key := fileKey(m, f)
	body, _, err := r.store.Open(ctx, key, 0, -1)
	if fault.Is(err, fault.NotFound) {
		return damaged(key, err)
	}
	if err != nil {
		return err
	}
	defer body.Close()
	h, out := sha256.New(), &sink{w: w}
	n, err := io.Copy(io.MultiWriter(h, out), io.LimitReader(body, f.Size+1)) // one byte more is enough to see that it differs
	if out.err != nil {
		return out.err
	}
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s could not be read to its end; try again", key)
	}
	want, err := hex.DecodeString(Hex(f.SHA256))
	if err != nil || n != f.Size || !bytes.Equal(h.Sum(nil), want) {
		return damaged(key, fmt.Errorf("%d bytes are stored whose size or digest differ from the manifest", n))
	}
	return nil
}

// sink tells a failure to write from one to read.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (n int, err error) {
	n, s.err = s.w.Write(p)
	return n, s.err
}
