package bulk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

const (
	// rowGroup bounds the rows that the Parquet writer holds.
	rowGroup = 50_000
	// maxFrame bounds a frame, in bytes: what is larger was not written by us.
	maxFrame = 256 << 20
)

// assemble makes the Parquet file of the frames.
func (out *Output) assemble() error {
	next := out.o.Path + ".next"
	file, err := os.Create(next)
	if err != nil {
		return fault.Wrap(err, fault.InvalidArgument, "%s cannot be opened for writing; check the path", next)
	}
	if _, err = out.file.Seek(0, io.SeekStart); err == nil {
		err = parquetOf(file, io.LimitReader(out.file, out.journal.Bytes))
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(next, out.o.Path)
	}
	if fault.Is(err, fault.FailedPrecondition) {
		return err
	}
	return fault.Wrap(err, fault.Unavailable, "%s cannot be written; is the disk full?", out.o.Path)
}

// parquetOf writes the frames of r as a Parquet file.
func parquetOf(w io.Writer, r io.Reader) error {
	in := bufio.NewReaderSize(r, 1<<20)
	t := &sheet{}
	for first := 1; ; {
		b, err := readFrame(in)
		if errors.Is(err, io.EOF) {
			return t.close(w)
		}
		if err != nil {
			return err
		}
		b.First = first
		first += b.Rows
		if err := t.write(w, b); err != nil {
			return err
		}
	}
}

// readFrame reads what Writer.frame wrote; io.EOF is the end. FailedPrecondition:
// it was damaged since.
func readFrame(r io.Reader) (*Batch, error) {
	damaged := func(err error) error {
		return fault.Wrap(err, fault.FailedPrecondition, "the predictions kept so far are damaged; --restart predicts all rows again")
	}
	lengths := make([]byte, 8)
	if _, err := io.ReadFull(r, lengths); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, damaged(err)
	}
	n, head := binary.LittleEndian.Uint32(lengths), binary.LittleEndian.Uint32(lengths[4:])
	if n > maxFrame || head > n {
		return nil, damaged(errors.New("lengths"))
	}
	body, err := io.ReadAll(io.LimitReader(r, int64(n))) // grows with what is there, whatever the length claims
	if err == nil && len(body) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, damaged(err)
	}
	result, err := endpoint.DecodeAnswer(strconv.Itoa(int(head)), body)
	if err == nil && (len(result.Outputs) == 0 || result.Outputs[0].Rows() < 1) {
		err = errors.New("no rows")
	}
	if err == nil {
		err = whole(&result, int(result.Outputs[0].Rows()))
	}
	if err != nil {
		return nil, damaged(err)
	}
	return &Batch{Rows: int(result.Outputs[0].Rows()), Result: result}, nil
}

// sheet is the Parquet file: row, id, version and a column for each value of the
// outputs, named as in CSV.
type sheet struct {
	writer  *parquet.GenericWriter[any]
	names   []string
	indexes []int // in the schema, by name
	types   []tensor.Datatype
	buffer  []parquet.Row
}

func (s *sheet) open(w io.Writer, b *Batch) error {
	s.names = append([]string{"row", "id", "version"}, columns(b)...)
	s.types = []tensor.Datatype{tensor.Int64, tensor.Bytes, tensor.Int64}
	for o := range b.Result.Outputs {
		for range b.Result.Outputs[o].Len() / b.Rows {
			s.types = append(s.types, b.Result.Outputs[o].Datatype)
		}
	}
	group := parquet.Group{}
	for i, name := range s.names {
		if _, twice := group[name]; twice {
			return fault.New(fault.FailedPrecondition, "two columns would be called %q; write ndjson, which keeps outputs apart", name)
		}
		group[name] = node(s.types[i])
	}
	schema := parquet.NewSchema("predictions", group)
	s.indexes = make([]int, len(s.names))
	for at, path := range schema.Columns() {
		for i, name := range s.names {
			if name == path[0] {
				s.indexes[i] = at
			}
		}
	}
	s.writer = parquet.NewGenericWriter[any](w, schema, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(rowGroup), parquet.CreatedBy("tidegate", "1", "predict"))
	return nil
}

func node(d tensor.Datatype) parquet.Node {
	switch d {
	case tensor.Bytes:
		return parquet.String()
	case tensor.Bool:
		return parquet.Leaf(parquet.BooleanType)
	case tensor.FP32, tensor.FP16:
		return parquet.Leaf(parquet.FloatType)
	case tensor.FP64:
		return parquet.Leaf(parquet.DoubleType)
	case tensor.Uint64:
		return parquet.Uint(64)
	}
	return parquet.Leaf(parquet.Int64Type)
}

func (s *sheet) write(w io.Writer, b *Batch) error {
	if s.writer == nil {
		if err := s.open(w, b); err != nil {
			return err
		}
	}
	s.buffer = s.buffer[:0]
	cells := make([]parquet.Value, b.Rows*len(s.names))
	for i := range b.Rows {
		row := parquet.Row(cells[i*len(s.names) : (i+1)*len(s.names)])
		column := 0
		put := func(v parquet.Value) {
			if column < len(s.names) {
				row[s.indexes[column]] = v.Level(0, 0, s.indexes[column])
			}
			column++
		}
		put(parquet.Int64Value(int64(b.First + i)))
		put(parquet.ByteArrayValue([]byte(b.id(i))))
		put(parquet.Int64Value(int64(b.Result.Version)))
		for o := range b.Result.Outputs {
			t := &b.Result.Outputs[o]
			width := t.Len() / b.Rows
			for k := range width {
				if column < len(s.types) && s.types[column] == t.Datatype {
					put(value(t, i*width+k))
				} else {
					column = len(s.names) + 1
				}
			}
		}
		if column != len(s.names) {
			return fault.New(fault.FailedPrecondition, "from row %d on the answers have other outputs than before; write ndjson, or begin anew with --restart", b.First)
		}
		s.buffer = append(s.buffer, row)
	}
	_, err := s.writer.WriteRows(s.buffer)
	return err
}

func value(t *tensor.Tensor, i int) parquet.Value {
	switch t.Datatype {
	case tensor.Bytes:
		return parquet.ByteArrayValue([]byte(t.Strings[i]))
	case tensor.Bool:
		return parquet.BooleanValue(t.Bools[i])
	case tensor.FP32:
		return parquet.FloatValue(t.FP32s[i])
	case tensor.FP16:
		return parquet.FloatValue(tensor.HalfToFloat32(t.U16s[i]))
	case tensor.FP64:
		return parquet.DoubleValue(t.FP64s[i])
	case tensor.Int64:
		return parquet.Int64Value(t.I64s[i])
	case tensor.Int32:
		return parquet.Int64Value(int64(t.I32s[i]))
	case tensor.Int16:
		return parquet.Int64Value(int64(t.I16s[i]))
	case tensor.Int8:
		return parquet.Int64Value(int64(t.I8s[i]))
	case tensor.Uint64:
		return parquet.Int64Value(int64(t.U64s[i])) // #nosec G115 -- the column is unsigned
	case tensor.Uint32:
		return parquet.Int64Value(int64(t.U32s[i]))
	case tensor.Uint16:
		return parquet.Int64Value(int64(t.U16s[i]))
	}
	return parquet.Int64Value(int64(t.U8s[i]))
}

func (s *sheet) close(w io.Writer) error {
	if s.writer == nil { // not a row: an empty file has the columns that every one has
		if err := s.open(w, &Batch{Rows: 1}); err != nil {
			return err
		}
	}
	return s.writer.Close()
}
