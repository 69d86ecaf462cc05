package rows

import (
	"errors"
	"io"

	"github.com/tidegate/tidegate/shared/fault"
)

// Numbered is a Source that knows where its rows are.
type Numbered interface {
	Source
	// Row is the number of the row that Next returned last, from 1, among all rows of the table.
	Row() int64
}

// ReaderAtSize is a table that can be read anywhere, as Parquet needs: an object behind range requests.
type ReaderAtSize interface {
	io.ReaderAt
	Size() int64
}

// At reads the table r, whose format is told by its content. groups are the row
// groups of a Parquet file that are read, in this order; nil stands for all rows.
// Errors: InvalidArgument; those of r are passed on.
func At(name string, r ReaderAtSize, groups []int) (Numbered, error) {
	head := make([]byte, 4)
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if string(head) == "PAR1" {
		return openParquet(name, io.NopCloser(nil), r, r.Size(), groups)
	}
	if groups != nil {
		return nil, fault.New(fault.InvalidArgument, "%s is not a Parquet file and has no row groups; leave row_groups out", name)
	}
	return stream(byContent, name, io.NopCloser(io.NewSectionReader(r, 0, r.Size())), r.Size())
}
