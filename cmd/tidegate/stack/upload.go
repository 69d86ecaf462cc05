package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// File is one file to upload.
type File struct {
	Name string // below the upload's folder
	Size int64
	Open func() (io.ReadSeekCloser, error)
}

// Files lists what Upload takes of path: the file itself, or the regular files of
// a folder, without hidden ones and without its sub-folders.
func Files(path string) ([]File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "%s cannot be read; check the path", path)
	}
	if !info.IsDir() {
		return []File{local(path, info)}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "folder %s cannot be read; check its permissions", path)
	}
	var files []File
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, fault.Wrap(err, fault.InvalidArgument, "%s cannot be read; check the path", filepath.Join(path, e.Name()))
		}
		if info.Mode().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, local(filepath.Join(path, e.Name()), info))
		}
	}
	if len(files) == 0 {
		return nil, fault.New(fault.InvalidArgument, "folder %s has no files; it should hold model.onnx", path)
	}
	return files, nil
}

func local(path string, info os.FileInfo) File {
	return File{Name: info.Name(), Size: info.Size(), Open: func() (io.ReadSeekCloser, error) { return os.Open(path) }}
}

// Upload puts files into a new folder uploads/<ulid>/ of the registry bucket and
// returns its URI, which ends in a slash. wrote, when not nil, is told the bytes of
// each file once it is there.
func (s *Stack) Upload(ctx context.Context, files []File, wrote func(bytes int64)) (uri string, err error) {
	folder := "uploads/" + s.NewID() + "/"
	for _, f := range files {
		if err := s.uploadOne(ctx, folder+f.Name, f); err != nil {
			return "", fmt.Errorf("upload %s: %w", f.Name, err)
		}
		if wrote != nil {
			wrote(f.Size)
		}
	}
	return "s3://" + s.RegistryBucketName + "/" + folder, nil
}

func (s *Stack) uploadOne(ctx context.Context, key string, f File) (err error) {
	body, err := f.Open()
	if err != nil {
		return fault.Wrap(err, fault.InvalidArgument, "%s cannot be opened; check its permissions", f.Name)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	_, err = s.Registry.PutStream(ctx, key, body, f.Size, blob.Always())
	return err
}

// Adopt makes the objects at uri an upload: as they are when they lie under
// uploads/ of the registry bucket, copied there otherwise. uri is one object or,
// with a slash at its end, a folder.
func (s *Stack) Adopt(ctx context.Context, uri string) (string, error) {
	bucket, key, ok := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	if !strings.HasPrefix(uri, "s3://") || !ok || bucket == "" || key == "" {
		return "", fault.New(fault.InvalidArgument, "the source must be s3://bucket/key, or s3://bucket/folder/ with a slash at its end")
	}
	if bucket == s.RegistryBucketName && strings.HasPrefix(key, "uploads/") {
		return uri, nil
	}
	source, folder := s.Bucket(bucket), "uploads/"+s.NewID()+"/"
	copied := ""
	for info, err := range source.List(ctx, key, "") {
		if err != nil {
			return "", fmt.Errorf("list %s: %w", uri, err)
		}
		name := strings.TrimPrefix(info.Key, key[:strings.LastIndex(key, "/")+1])
		if strings.Contains(name, "/") || (!strings.HasSuffix(key, "/") && info.Key != key) {
			continue // a sub-folder, or another object that only begins so
		}
		object, err := source.Get(ctx, info.Key)
		if err != nil {
			return "", fmt.Errorf("read %s: %w", uri, err)
		}
		if _, err := s.Registry.Put(ctx, folder+name, object.Body, blob.Always()); err != nil {
			return "", fmt.Errorf("copy %s: %w", uri, err)
		}
		copied = name
	}
	switch {
	case copied == "":
		return "", fault.New(fault.NotFound, "there is nothing at %s; a folder ends in a slash", uri)
	case strings.HasSuffix(key, "/"):
		return "s3://" + s.RegistryBucketName + "/" + folder, nil
	}
	return "s3://" + s.RegistryBucketName + "/" + folder + copied, nil
}
