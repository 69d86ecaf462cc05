// Package s3 is the blob.Store of an S3 bucket.
//
// It adds nothing to S3 but the mapping of errors to kinds, and one rule:
// conditional writes are sent exactly once. A retry inside the SDK would be
// answered 412 by the write that it repeats, and the caller could not tell whose
// it was; the protocols above decide by reading. Reads and unconditional writes
// keep the SDK's standard retries.
//
//	cfg, err := awsenv.Config(os.Getenv)
//	store := s3.New(s3.NewClient(cfg), "my-registry-bucket")
package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// silence is how long a request may wait for the head of its answer. S3 answers in
// tens of milliseconds; without a limit one lost packet eats a function's time.
const silence = 10 * time.Second

// NewClient returns an S3 client as this package wants it. Endpoints other than
// AWS's own are addressed by path, since they rarely resolve bucket names. Checksums
// beyond the sha256 that signs every body are sent only where S3 requires them:
// not all S3 look-alikes know the others, and the registry checks digests itself.
func NewClient(cfg aws.Config) *awss3.Client {
	return awss3.NewFromConfig(cfg, func(o *awss3.Options) {
		o.UsePathStyle = o.BaseEndpoint != nil
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		if cfg.HTTPClient == nil {
			o.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.ResponseHeaderTimeout = silence })
		}
	})
}

// Store is one bucket.
type Store struct {
	client *awss3.Client
	bucket string
}

// New returns the store of a bucket. Nothing is sent: a missing bucket shows with
// the first call, as Internal.
func New(client *awss3.Client, bucket string) *Store { return &Store{client: client, bucket: bucket} }

// Get implements [blob.Store].
func (s *Store) Get(ctx context.Context, key string) (blob.Object, error) {
	obj, _, err := s.GetIfChanged(ctx, key, "")
	return obj, err
}

// GetIfChanged implements [blob.Store].
func (s *Store) GetIfChanged(ctx context.Context, key, etag string) (blob.Object, bool, error) {
	in := &awss3.GetObjectInput{Bucket: &s.bucket, Key: &key}
	if etag != "" {
		in.IfNoneMatch = &etag
	}
	out, err := s.client.GetObject(ctx, in)
	if etag != "" && status(err) == http.StatusNotModified {
		return blob.Object{Info: blob.Info{ETag: etag}}, false, nil
	}
	if err != nil {
		return blob.Object{}, false, classify(ctx, err, "read", key)
	}
	defer out.Body.Close()
	body, err := readAll(out.Body, aws.ToInt64(out.ContentLength))
	if err != nil {
		return blob.Object{}, false, fault.Wrap(err, fault.Unavailable, "%s could not be read to its end; try again", key)
	}
	info := blob.Info{Key: key, ETag: aws.ToString(out.ETag), Size: int64(len(body)), VersionID: version(out.VersionId), Modified: aws.ToTime(out.LastModified)}
	return blob.Object{Info: info, Body: body}, true, nil
}

// readAll reads a body whose length is announced into memory of that size.
func readAll(r io.Reader, length int64) ([]byte, error) {
	if length <= 0 {
		return io.ReadAll(r)
	}
	body := make([]byte, length)
	_, err := io.ReadFull(r, body)
	return body, err
}

// Open implements [blob.Store].
func (s *Store) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error) {
	return s.OpenVersion(ctx, key, "", offset, length)
}

// OpenVersion streams one version of the object from offset, as Open does the newest
// ("" is that one); NotFound when that version is not there (any more). The role needs
// s3:GetObjectVersion.
func (s *Store) OpenVersion(ctx context.Context, key, id string, offset, length int64) (io.ReadCloser, blob.Info, error) {
	if offset < 0 {
		return nil, blob.Info{}, fault.New(fault.Internal, "read of %s from a negative offset", key)
	}
	in := &awss3.GetObjectInput{Bucket: &s.bucket, Key: &key}
	if id != "" {
		in.VersionId = &id
	}
	if length == 0 { // a range cannot be empty
		return s.nothing(ctx, in)
	}
	switch {
	case length > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case offset > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	out, err := s.client.GetObject(ctx, in)
	if status(err) == http.StatusRequestedRangeNotSatisfiable { // it begins at or beyond the end
		return s.nothing(ctx, in)
	}
	if err != nil {
		return nil, blob.Info{}, classify(ctx, err, "read", key)
	}
	info := blob.Info{Key: key, ETag: aws.ToString(out.ETag), Size: aws.ToInt64(out.ContentLength), VersionID: version(out.VersionId), Modified: aws.ToTime(out.LastModified)}
	if _, total, ok := strings.Cut(aws.ToString(out.ContentRange), "/"); ok { // "bytes 3-6/10"
		if info.Size, err = strconv.ParseInt(total, 10, 64); err != nil {
			return nil, blob.Info{}, fault.Wrap(errors.Join(err, out.Body.Close()), fault.Internal, "the store answered a range of %s without its size", key)
		}
	}
	return out.Body, info, nil
}

func (s *Store) nothing(ctx context.Context, of *awss3.GetObjectInput) (io.ReadCloser, blob.Info, error) {
	info, err := s.head(ctx, &awss3.HeadObjectInput{Bucket: of.Bucket, Key: of.Key, VersionId: of.VersionId})
	if err != nil {
		return nil, blob.Info{}, err
	}
	return http.NoBody, info, nil
}

// Head implements [blob.Store].
func (s *Store) Head(ctx context.Context, key string) (blob.Info, error) {
	return s.head(ctx, &awss3.HeadObjectInput{Bucket: &s.bucket, Key: &key})
}

func (s *Store) head(ctx context.Context, in *awss3.HeadObjectInput) (blob.Info, error) {
	key := aws.ToString(in.Key)
	out, err := s.client.HeadObject(ctx, in)
	if err != nil {
		return blob.Info{}, classify(ctx, err, "look at", key)
	}
	return blob.Info{Key: key, ETag: aws.ToString(out.ETag), Size: aws.ToInt64(out.ContentLength), VersionID: version(out.VersionId), Modified: aws.ToTime(out.LastModified)}, nil
}

// Put implements [blob.Store]. The time of modification is not known from S3's
// answer and stays zero.
func (s *Store) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	return s.put(ctx, key, bytes.NewReader(body), int64(len(body)), cond)
}

// PutStream implements [blob.Store]. The body is read twice, first for the sha256
// that signs it. One request carries at most 5 GB, which S3 checks.
func (s *Store) PutStream(ctx context.Context, key string, r io.ReadSeeker, size int64, cond blob.Condition) (blob.Info, error) {
	part, err := newSection(r, size)
	if err != nil {
		return blob.Info{}, fault.Wrap(err, fault.Internal, "the body of %s cannot be read, or is shorter than announced", key)
	}
	return s.put(ctx, key, part, size, cond)
}

func (s *Store) put(ctx context.Context, key string, body io.ReadSeeker, size int64, cond blob.Condition) (blob.Info, error) {
	in := &awss3.PutObjectInput{Bucket: &s.bucket, Key: &key, Body: body, ContentLength: &size, ContentType: contentType(key)}
	var once []func(*awss3.Options)
	if cond != blob.Always() {
		once = append(once, func(o *awss3.Options) { o.Retryer = aws.NopRetryer{} })
	}
	if cond.IfAbsent {
		in.IfNoneMatch = aws.String("*")
	}
	if cond.IfMatch != "" {
		in.IfMatch = &cond.IfMatch
	}
	out, err := s.client.PutObject(ctx, in, once...)
	if err != nil {
		return blob.Info{}, classify(ctx, err, "write", key)
	}
	return blob.Info{Key: key, ETag: aws.ToString(out.ETag), Size: size, VersionID: version(out.VersionId)}, nil
}

// contentType spares people a download when they look at the bucket.
func contentType(key string) *string {
	switch {
	case strings.HasSuffix(key, ".json"):
		return aws.String("application/json")
	case strings.HasSuffix(key, ".ndjson"):
		return aws.String("application/x-ndjson")
	case strings.HasSuffix(key, ".html"):
		return aws.String("text/html; charset=utf-8")
	case strings.HasSuffix(key, ".csv"):
		return aws.String("text/csv")
	}
	return nil
}

// List implements [blob.Store].
func (s *Store) List(ctx context.Context, prefix, startAfter string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		in := &awss3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix}
		if startAfter != "" {
			in.StartAfter = &startAfter
		}
		for {
			out, err := s.client.ListObjectsV2(ctx, in)
			if err != nil {
				yield(blob.Info{}, classify(ctx, err, "list", prefix))
				return
			}
			for _, o := range out.Contents {
				info := blob.Info{Key: aws.ToString(o.Key), ETag: aws.ToString(o.ETag), Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)}
				if !yield(info, nil) {
					return
				}
			}
			if !aws.ToBool(out.IsTruncated) || out.NextContinuationToken == nil {
				return
			}
			in.ContinuationToken = out.NextContinuationToken
		}
	}
}

// DeleteVersion removes one version of an object for good; an absent one is no error.
// Older versions stay: the newest of them becomes the object. Errors as of [blob.Store];
// Internal also where the caller may not delete.
func (s *Store) DeleteVersion(ctx context.Context, key, id string) error {
	_, err := s.client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &s.bucket, Key: &key, VersionId: &id})
	if err == nil || kindOf(ctx, err) == fault.NotFound {
		return nil
	}
	return classify(ctx, err, "delete", key)
}

// version drops the id that an unversioned bucket gives.
func version(id *string) string {
	if v := aws.ToString(id); v != "null" {
		return v
	}
	return ""
}

// section is the next size bytes of a reader as a body of their own.
type section struct {
	r               io.ReadSeeker
	base, at, limit int64
}

func newSection(r io.ReadSeeker, size int64) (*section, error) {
	base, err := r.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	end, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if end-base < size {
		return nil, io.ErrUnexpectedEOF
	}
	_, err = r.Seek(base, io.SeekStart)
	return &section{r: r, base: base, limit: size}, err
}

func (s *section) Read(p []byte) (int, error) {
	if s.at >= s.limit {
		return 0, io.EOF
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.limit-s.at)])
	s.at += int64(n)
	return n, err
}

func (s *section) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.limit
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	if _, err := s.r.Seek(s.base+offset, io.SeekStart); err != nil {
		return 0, err
	}
	s.at = offset
	return offset, nil
}
