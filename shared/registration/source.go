package registration

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// The files that a trainer leaves (docs/formats/training.md). Only the model is required.
const (
	modelFile       = "model.onnx"
	holdoutFile     = "holdout.csv"
	predictionsFile = "predictions.csv"
	metricsFile     = "metrics.json"
	featuresFile    = "features.json"
	runFile         = "run.json"
	trainingFile    = "training_schema.json"
	recordFile      = "training.json"
)

// smallFiles are kept as they are under versions/<n>/, each up to a limit in bytes:
// every predict environment could read them, and the manifest repeats two of them.
var smallFiles = map[string]int64{metricsFile: 256 << 10, featuresFile: 4 << 20, runFile: 256 << 10, trainingFile: 1 << 20, recordFile: 256 << 10}

const uploads = "uploads/"

// location is where a source lies: one object, or all objects of a folder (a key that ends in "/").
type location struct{ key string }

func (l location) folder() bool { return strings.HasSuffix(l.key, "/") }

// locate reads a source URI. Only uploads/ of the registry bucket is accepted:
// that is what the function's role may read, and what the caller was allowed to write.
func locate(source, bucket string) (location, error) {
	rest, ok := strings.CutPrefix(source, "s3://")
	if !ok {
		return location{}, fault.Invalid(fault.Violation{Path: "source", Problem: "must be an s3:// URI: a folder with a trailing slash, or one .onnx file"})
	}
	name, key, _ := strings.Cut(rest, "/")
	if name != bucket {
		return location{}, fault.Invalid(fault.Violation{Path: "source", Problem: "must be in the registry bucket; upload the files under its uploads/ first"})
	}
	if !strings.HasPrefix(key, uploads) || key == uploads {
		return location{}, fault.Invalid(fault.Violation{Path: "source", Problem: "must be under uploads/<id>/ of the registry bucket"})
	}
	if !strings.HasSuffix(key, "/") && !isONNX(key) {
		return location{}, fault.Invalid(fault.Violation{Path: "source", Problem: "must end in a slash (a folder) or in .onnx (one file)"})
	}
	return location{key: key}, nil
}

func isONNX(name string) bool { return strings.HasSuffix(strings.ToLower(name), ".onnx") }

// bundle is one upload, read once: later changes of the upload do not matter.
type bundle struct {
	model                []byte
	holdout, predictions *table            // both or neither
	training             string            // key of the training rows, "" for none; they are streamed
	small                map[string][]byte // by name, valid JSON; of a carried version any small file
	others               []*table          // of a carried version: large files that nothing here reads
	ignored              []string          // names of objects in the folder that nothing uses
}

// table is a CSV file kept in a temporary file.
type table struct {
	name   string
	path   string
	size   int64
	sha256 string
}

// tables are the files that are kept in temporary ones.
func (b *bundle) tables() []*table {
	all := append([]*table{b.holdout, b.predictions}, b.others...)
	return slices.DeleteFunc(all, func(t *table) bool { return t == nil })
}

func (b *bundle) close() {
	for _, t := range b.tables() {
		_ = os.Remove(t.path) // the environment's /tmp outlives the call; a failure costs space only
	}
}

// fetch reads a source into memory (model, small files) and Dir (tables).
func (r *Registrar) fetch(ctx context.Context, at location) (_ *bundle, err error) {
	b := &bundle{small: map[string][]byte{}}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	names, err := r.names(ctx, at)
	if err != nil {
		return nil, err
	}
	dir := at.key[:strings.LastIndexByte(at.key, '/')+1]
	var model string
	for _, name := range names {
		switch limit, small := smallFiles[name]; {
		case isONNX(name) && model != "":
			return nil, fault.New(fault.InvalidArgument, "the source holds more than one .onnx file (%q and %q); name the one to register", model, name)
		case isONNX(name):
			model = name
		case name == holdoutFile:
			b.holdout, err = r.spool(ctx, dir, name)
		case name == predictionsFile:
			b.predictions, err = r.spool(ctx, dir, name)
		case slices.Contains(trainingRows, name) && b.training != "":
			return nil, fault.New(fault.InvalidArgument, "the source holds the training rows more than once (%s and %s); leave one of them", b.training[len(dir):], name)
		case slices.Contains(trainingRows, name):
			b.training = dir + name
		case small:
			b.small[name], err = r.readSmall(ctx, dir+name, name, limit)
		default:
			b.ignored = append(b.ignored, name)
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case model == "":
		return nil, fault.New(fault.InvalidArgument, "the source holds no .onnx file; upload %s and try again", modelFile)
	case (b.holdout == nil) != (b.predictions == nil):
		return nil, fault.New(fault.InvalidArgument, "the source holds only one of %s and %s; parity needs both, leave both out to register without it", holdoutFile, predictionsFile)
	}
	b.model, err = r.read(ctx, dir+model, model, r.Limits.ModelBytes, "give the function more memory, or make the model smaller")
	return b, err
}

// names lists the objects directly in a folder, or names the one object.
func (r *Registrar) names(ctx context.Context, at location) ([]string, error) {
	if !at.folder() {
		return []string{at.key[strings.LastIndexByte(at.key, '/')+1:]}, nil
	}
	const most = 1000
	var names []string
	for info, err := range r.Uploads.List(ctx, at.key, "") {
		if err != nil {
			return nil, fmt.Errorf("registration: list the source: %w", err)
		}
		name := strings.TrimPrefix(info.Key, at.key)
		if name == "" { // consoles make an empty object for a folder
			continue
		}
		if names = append(names, name); len(names) > most {
			return nil, fault.New(fault.InvalidArgument, "the source holds more than %d objects; is it the folder of one model?", most)
		}
	}
	if len(names) == 0 {
		return nil, fault.New(fault.NotFound, "the source holds no objects; was it uploaded, and does it end in a slash?")
	}
	slices.Sort(names)
	return names, nil
}

func (r *Registrar) open(ctx context.Context, key, name string, limit int64, advice string) (io.ReadCloser, blob.Info, error) {
	body, info, err := r.Uploads.Open(ctx, key, 0, -1)
	if fault.Is(err, fault.NotFound) {
		return nil, info, fault.Wrap(err, fault.NotFound, "%s is not in the source (any more); upload it again", name)
	}
	if err != nil {
		return nil, info, fmt.Errorf("registration: open %s: %w", name, err)
	}
	if info.Size > limit {
		_ = body.Close()
		return nil, info, fault.New(fault.PayloadTooLarge, "%s has %d bytes, limit %d; %s", name, info.Size, limit, advice)
	}
	return body, info, nil
}

// read reads a whole object of at most limit bytes into one slice of its size.
func (r *Registrar) read(ctx context.Context, key, name string, limit int64, advice string) ([]byte, error) {
	body, info, err := r.open(ctx, key, name, limit, advice)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data := make([]byte, info.Size)
	if _, err := io.ReadFull(body, data); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "%s could not be read to its end; try again", name)
	}
	return data, nil
}

func (r *Registrar) readSmall(ctx context.Context, key, name string, limit int64) ([]byte, error) {
	data, err := r.read(ctx, key, name, limit, "shorten it")
	if err != nil {
		return nil, err
	}
	if !json.Valid(data) {
		return nil, fault.New(fault.InvalidArgument, "%s is not valid JSON (NaN and Infinity are not JSON)", name)
	}
	return data, nil
}

// spool copies an object to a temporary file: it is read more than once, and must not change in between.
func (r *Registrar) spool(ctx context.Context, dir, name string) (*table, error) {
	body, info, err := r.open(ctx, dir+name, name, r.Limits.TableBytes, "register a sample of the holdout")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	f, err := os.CreateTemp(r.Dir, "register-*.csv")
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "no temporary file can be made")
	}
	t := &table{name: name, path: f.Name()}
	sum := sha256.New()
	t.size, err = io.Copy(io.MultiWriter(f, sum), body)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil && t.size != info.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		_ = os.Remove(t.path)
		return nil, fault.Wrap(err, fault.Unavailable, "%s could not be copied; try again", name)
	}
	t.sha256 = hex.EncodeToString(sum.Sum(nil))
	return t, nil
}
