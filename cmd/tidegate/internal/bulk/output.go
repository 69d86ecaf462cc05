package bulk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

const (
	// partSuffix is what the frames of a Parquet output are called until it is complete.
	partSuffix = ".part"
	// commitEvery is how often the journal is written: what a crash makes a run do again.
	commitEvery = time.Second
)

// Options of an output.
type Options struct {
	Path     string
	Identity Identity
	// Journal is whether the run can be gone on with: not if its rows come from a stream.
	Journal bool
	// Restart begins anew, whatever is there.
	Restart bool
	// Single refuses answers of another version than that of the identity, or of the
	// first answer if that has none.
	Single bool
	Now    func() time.Time
}

// Output is a file of predictions and its journal. It belongs to one goroutine.
type Output struct {
	o       Options
	journal Journal
	file    *os.File // of the rows, or of frames
	writer  *Writer
	saved   time.Time
}

// OpenOutput begins an output, or goes on with that of an interrupted run.
//
// Errors: AlreadyExists, there is a file of another origin, or another run at work;
// FailedPrecondition, the output is of other rows, of another model or version, or
// damaged; InvalidArgument, the file cannot be opened.
func OpenOutput(o Options) (*Output, error) {
	out := &Output{o: o, journal: Journal{V: journalVersion, Identity: o.Identity}}
	if !o.Restart {
		if err := out.found(); err != nil || out.journal.Complete {
			return out, err
		}
	}
	path := o.Path
	if o.Identity.Format == Parquet {
		path += partSuffix
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644) // #nosec G302 -- predictions are read by others
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "%s cannot be opened for writing; check the path", path)
	}
	out.file = file
	if err := out.begin(path); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return out, nil
}

// found looks at what an earlier run has left.
func (out *Output) found() error {
	j, ok, err := ReadJournal(out.o.Path)
	if err != nil {
		return err
	}
	if !ok {
		info, err := os.Stat(out.o.Path)
		if err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			return fault.New(fault.AlreadyExists, "%s is there already and has no journal of an interrupted run; --restart overwrites it", out.o.Path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.Wrap(err, fault.InvalidArgument, "%s cannot be read; check the path", out.o.Path)
		}
		return nil
	}
	if err := j.Fits(out.o.Identity, out.o.Path); err != nil {
		return err
	}
	if j.Complete {
		if _, err := os.Stat(out.o.Path); err != nil {
			return fault.Wrap(err, fault.FailedPrecondition, "%s is complete by its journal, but cannot be read; --restart predicts all rows again", out.o.Path)
		}
	}
	if j.Version == 0 {
		j.Version = out.o.Identity.Version
	}
	out.journal = j
	return nil
}

// begin cuts off what the journal does not vouch for, and writes it first.
func (out *Output) begin(path string) error {
	if err := lock(out.file); err != nil {
		return fault.Wrap(err, fault.AlreadyExists, "another run is writing %s; wait for it, or choose another output", path)
	}
	info, err := out.file.Stat()
	if err == nil && info.Size() < out.journal.Bytes {
		return fault.New(fault.FailedPrecondition, "%s is shorter than its journal says; --restart predicts all rows again", path)
	}
	if err == nil && info.Mode().IsRegular() {
		err = out.file.Truncate(out.journal.Bytes)
	}
	if err == nil && out.journal.Bytes > 0 {
		_, err = out.file.Seek(out.journal.Bytes, io.SeekStart)
	}
	if err != nil {
		return fault.Wrap(err, fault.InvalidArgument, "%s cannot be written; check the path", path)
	}
	if out.writer, err = NewWriter(out.file, out.o.Identity.Format, out.journal.Rows > 0); err != nil {
		return err
	}
	return out.save()
}

// Rows is how many rows are complete.
func (out *Output) Rows() int { return out.journal.Rows }

// Complete says that an earlier run has predicted every row.
func (out *Output) Complete() bool { return out.journal.Complete }

// Write appends the rows of b, the next ones.
func (out *Output) Write(b Batch) error {
	if out.o.Single {
		if err := out.same(&b); err != nil {
			return err
		}
	}
	before := out.writer.bytes
	if err := out.writer.Write(b); err != nil {
		return err
	}
	out.journal.Rows += b.Rows
	out.journal.Bytes += out.writer.bytes - before
	if now := out.o.Now(); now.Sub(out.saved) >= commitEvery {
		return out.save()
	}
	return nil
}

// same refuses an answer of another version than those before.
func (out *Output) same(b *Batch) error {
	v, digest := b.Result.Version, b.Result.Digest
	switch j := &out.journal; {
	case j.Version != 0 && v != j.Version:
		return fault.New(fault.FailedPrecondition, "from row %d on version %d answers, before it was version %d; ask for one with --version-number, or begin anew with --restart", b.First, v, j.Version)
	case j.Answered != "" && digest != j.Answered:
		return fault.New(fault.FailedPrecondition, "from row %d on another model answers than before, though it is called version %d too; begin anew with --restart", b.First, v)
	default:
		j.Version, j.Answered = v, digest
	}
	return nil
}

// save makes the rows so far last, then says so in the journal.
func (out *Output) save() error {
	out.saved = out.o.Now()
	if !out.o.Journal {
		return nil
	}
	if err := out.file.Sync(); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the output cannot be written; is the disk full?")
	}
	out.journal.At = out.saved.UTC()
	return out.journal.write(out.o.Path)
}

// Close ends the output. all says that every row is in it; otherwise a later run
// can go on.
func (out *Output) Close(all bool) (err error) {
	if out.file == nil { // it was complete
		return nil
	}
	defer func() {
		if closing := out.file.Close(); err == nil {
			err = fault.Wrap(closing, fault.Unavailable, "the output cannot be written; is the disk full?")
		}
		if err == nil && all && out.o.Identity.Format == Parquet {
			err = os.Remove(out.o.Path + partSuffix)
		}
	}()
	if err := out.save(); err != nil || !all {
		return err
	}
	if out.o.Identity.Format == Parquet {
		if err := out.assemble(); err != nil {
			return err
		}
	}
	out.journal.Complete = true
	return out.save()
}
