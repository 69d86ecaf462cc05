package ingestion

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/schema"
)

// limits bound what one source takes. A file of 2 GB with the shortest lines of CSV
// that hold an inference id (39 bytes) has 55 million of them.
type limits struct {
	text    int64  // bytes of the plain text
	labels  uint64 // well-formed labels
	hour    int64  // bytes of one filed object: less than one put takes (S3: 5 GiB)
	hours   int    // filed objects
	unknown int    // names of models that are not registered
	arena   int    // bytes of labels that are sorted in memory, beside 16 bytes each
	inline  int    // bytes of a filed object that is put from memory
}

var defaults = limits{text: 3 << 30, labels: 55_000_000, hour: 5 << 30, hours: 100_000, unknown: 1000, arena: 64 << 20, inline: 4 << 20}

// filed reads a source, sorts its labels and files them. Errors other than faults
// are those of the text.
func (j *Job) filed(ctx context.Context, rep *Report, raw io.Reader) error {
	bounds := j.limits
	if bounds == (limits{}) {
		bounds = defaults
	}
	plain, err := profile.Decompress(raw)
	if err != nil {
		return err
	}
	defer plain.Close()
	s := &source{job: j, limits: bounds, rep: rep, sizes: map[uint64]int64{}, models: map[string]int{}}
	s.sorter = newSorter(j.Dir, bounds.arena)
	defer s.sorter.close()
	if err := s.read(ctx, &bounded{r: plain, left: bounds.text, limit: bounds.text}); err != nil {
		return err
	}
	if err := s.write(ctx); err != nil {
		return err
	}
	slices.SortFunc(rep.Models, func(a, b ModelReport) int { return cmp.Compare(a.Model, b.Model) })
	slices.Sort(rep.Unknown)
	return nil
}

// source is one object that is being filed.
type source struct {
	job    *Job
	limits limits
	rep    *Report
	sorter *sorter
	sizes  map[uint64]int64 // bytes to file at most, by place
	models map[string]int   // index in the report, -1 for a model that is not registered
	last   string           // the model of the line before, and its index
	lastAt int
	value  []byte
}

// read reads all lines into the sorter.
func (s *source) read(ctx context.Context, text io.Reader) error {
	model, dropped, err := s.folder()
	if err != nil {
		return err
	}
	lines, err := label.NewReader(text)
	if err != nil {
		return err
	}
	s.rep.Format = lines.Format()
	for {
		in, problem, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if s.rep.Lines++; s.rep.Lines%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		at := -1
		if problem == label.Fine {
			if !dropped {
				model = in.Model
			}
			if at, err = s.model(ctx, model); err != nil {
				return err
			}
			if at < 0 {
				problem = label.UnknownModel
			}
		}
		if problem == label.Fine {
			problem, err = s.line(in, at)
		}
		if err != nil {
			return err
		}
		if problem != label.Fine {
			s.rep.leave(at, lines.Line(), problem)
		}
	}
}

// folder is the model that the key names; an object of feedback's has it in each line.
func (s *source) folder() (model string, dropped bool, err error) {
	key := s.rep.Source.Key
	if strings.HasPrefix(key, label.LandedAPI) {
		return "", false, nil
	}
	rest, ok := strings.CutPrefix(key, label.LandedFiles)
	model, name, found := strings.Cut(rest, "/")
	if !ok || !found || model == "" || name == "" {
		return "", false, fault.New(fault.InvalidArgument, "%s is in no model's folder; put labels under %s<model>/", profile.Cut(key), label.LandedFiles)
	}
	return model, true, nil
}

// model finds the index of a model in the report, -1 when it is not registered.
func (s *source) model(ctx context.Context, name string) (int, error) {
	if name == s.last && name != "" {
		return s.lastAt, nil
	}
	at, ok := s.models[name]
	if !ok {
		name = strings.Clone(name)
		m, err := s.job.Models.Model(ctx, name)
		switch {
		case err == nil:
			at = len(s.rep.Models)
			s.rep.Models = append(s.rep.Models, ModelReport{Model: name, Task: m.Task})
		case fault.Is(err, fault.NotFound), fault.Is(err, fault.InvalidArgument):
			at = -1
			if len(s.models)-len(s.rep.Models) >= s.limits.unknown {
				return 0, fault.New(fault.InvalidArgument, "the object names more than %d models that are not registered; register them first", s.limits.unknown)
			}
			if name != "" && len(s.rep.Unknown) < maxUnknown {
				s.rep.Unknown = append(s.rep.Unknown, profile.Cut(name))
			}
		default:
			return 0, err
		}
		s.models[name] = at
	}
	s.last, s.lastAt = strings.Clone(name), at
	return at, nil
}

// line checks one label and gives it to the sorter.
func (s *source) line(in *label.Input, at int) (label.Problem, error) {
	rec, hour, problems := in.Record(s.task(at), s.rep.LandedAt, s.rep.LandedAt)
	if p := problems.First(); p != label.Fine {
		return p, nil
	}
	s.value = rec.Label.Append(s.value[:0])
	place := placeOf(at, hour)
	size := s.sizes[place]
	if size == 0 && len(s.sizes) >= s.limits.hours {
		return "", fault.New(fault.PayloadTooLarge, "the object holds labels of predictions of more than %d hours; split it by time", s.limits.hours)
	}
	if size += int64(filedSize(&rec, s.value)); size > s.limits.hour {
		return "", fault.New(fault.PayloadTooLarge, "the object holds more than %d bytes of labels of one hour; split it", s.limits.hour)
	}
	s.sizes[place] = size
	if s.sorter.count >= s.limits.labels {
		return "", fault.New(fault.PayloadTooLarge, "the object holds more than %d labels; split it", s.limits.labels)
	}
	return label.Fine, s.sorter.add(place, rec.Request, rec.ID, rec.TS.UnixMilli(), s.value)
}

func (s *source) task(at int) schema.Task { return s.rep.Models[at].Task }

// placeOf says where a label is filed: model and hour, in the order of which labels are sorted.
func placeOf(model int, hour time.Time) uint64 {
	return uint64(model)<<32 | uint64(hour.Unix()/3600)
}

func parsePlace(place uint64) (model int, hour time.Time) {
	return int(place >> 32), time.Unix(int64(place&0xffffffff)*3600, 0).UTC()
}

// filedSize is the size of a filed line, unless its id needs escapes.
func filedSize(r *label.Record, value []byte) int {
	return len(`{"request_id":"","label":,"ts":""}`) + 1 + len(r.ID) + len(value) + label.TimeLength
}

// bounded fails a text that is longer than its limit.
type bounded struct {
	r           io.Reader
	left, limit int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, fault.New(fault.PayloadTooLarge, "the object holds more than %d bytes of text; split it", b.limit)
	}
	return n, err
}
