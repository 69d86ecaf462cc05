package bulk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

// JournalSuffix is what a journal is called behind its output's name.
const JournalSuffix = ".journal"

// journalVersion is the format that is written (docs/formats/predictions.md).
const journalVersion = 1

// maxJournal bounds what is read of a journal, in bytes.
const maxJournal = 64 << 10

// Identity is what a run is of. Another one does not go on with its output.
type Identity struct {
	Input   Input  `json:"input"`
	Model   string `json:"model"`
	Version int    `json:"version"` // 0: not known yet, or answers of several are wanted
	Digest  string `json:"digest"`  // of the version, or of what the server says of it
	Format  string `json:"format"`  // of the output: ndjson, csv or parquet
}

// Input is the file that the rows come from.
type Input struct {
	Digest string `json:"digest"` // "sha256:<hex>"
	Bytes  int64  `json:"bytes"`
	Format string `json:"format,omitempty"` // as it was given, "" = by the name
}

// Journal is how far a run came: rows that are complete in the first bytes of the
// output, or of its parts.
type Journal struct {
	V int `json:"v"`
	Identity
	Answered string    `json:"answered,omitempty"` // the digest that the answers name, where all must be of one version
	Rows     int       `json:"rows"`
	Bytes    int64     `json:"bytes"`
	Complete bool      `json:"complete"`
	At       time.Time `json:"at"`
}

// DigestFile is the identity of the rows in a file.
func DigestFile(path, format string) (Input, error) {
	f, err := os.Open(path)
	if err != nil {
		return Input{}, fault.Wrap(err, fault.InvalidArgument, "%s cannot be opened; check the path", path)
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return Input{}, fault.Wrap(err, fault.InvalidArgument, "%s cannot be read", path)
	}
	return Input{Digest: "sha256:" + hex.EncodeToString(sum.Sum(nil)), Bytes: n, Format: format}, nil
}

// ReadJournal reads the journal of an output; ok is false when there is none.
// FailedPrecondition: it cannot be used.
func ReadJournal(output string) (j Journal, ok bool, err error) {
	path := output + JournalSuffix
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Journal{}, false, nil
	}
	if err != nil {
		return Journal{}, false, fault.Wrap(err, fault.FailedPrecondition, "%s cannot be read; --restart begins anew", path)
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, maxJournal))
	if err == nil {
		j, err = parseJournal(body)
	}
	if err != nil {
		return Journal{}, false, fault.Wrap(err, fault.FailedPrecondition, "%s is not a journal of this release; --restart begins anew", path)
	}
	return j, true, nil
}

func parseJournal(body []byte) (j Journal, err error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := dec.Decode(&j); err != nil {
		return Journal{}, err
	}
	if j.V < 1 || j.V > journalVersion || j.Rows < 0 || j.Bytes < 0 || j.Model == "" || dec.More() {
		return Journal{}, errors.New("not a journal")
	}
	return j, nil
}

// Fits refuses to go on with what j describes in a run of want. FailedPrecondition
// says what has changed.
func (j *Journal) Fits(want Identity, output string) error {
	changed := func(what string, args ...any) error {
		return fault.New(fault.FailedPrecondition, what+"; --restart predicts all rows again, into %s", append(args, output)...)
	}
	switch {
	case j.Input != want.Input:
		return changed("the input has changed since the first %d rows of it were predicted", j.Rows)
	case j.Model != want.Model:
		return changed("the output has %d rows of model %q", j.Rows, j.Model)
	case j.Version != 0 && want.Version != 0 && j.Version != want.Version:
		return changed("the model's version was %d for the first %d rows and is %d now", j.Version, j.Rows, want.Version)
	case j.Digest != want.Digest:
		return changed("the model has changed since the first %d rows were predicted, though its version number has not", j.Rows)
	case j.Format != want.Format:
		return changed("the first %d rows were written as %s", j.Rows, j.Format)
	}
	return nil
}

// write replaces the journal of an output in one step.
func (j *Journal) write(output string) error {
	body, err := json.MarshalIndent(j, "", "  ")
	if err == nil {
		err = os.WriteFile(output+JournalSuffix+".next", append(body, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(output+JournalSuffix+".next", output+JournalSuffix)
	}
	return fault.Wrap(err, fault.Unavailable, "%s cannot be written; is the disk full?", output+JournalSuffix)
}
