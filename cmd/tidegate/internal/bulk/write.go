package bulk

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"io"
	"strconv"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/tensor"
)

// The forms of an output.
const (
	NDJSON  = "ndjson"
	CSV     = "csv"
	Parquet = "parquet"
)

// Writer writes, for each row, its number, the inference id that joins the capture
// and later the label, the version that answered, and the outputs.
type Writer struct {
	format string
	w      io.Writer
	begun  bool // the CSV has its header
	buf    bytes.Buffer
	bytes  int64 // written by this writer
}

// NewWriter returns a writer of a format. begun says that w continues an output
// that has rows. As Parquet it writes frames, which become a Parquet file when all
// of them are there: its rows are described at its end, and could not be gone on with.
func NewWriter(w io.Writer, format string, begun bool) (*Writer, error) {
	if format != NDJSON && format != CSV && format != Parquet {
		return nil, fault.New(fault.InvalidArgument, "the output format must be ndjson, csv or parquet")
	}
	return &Writer{format: format, w: w, begun: begun}, nil
}

// Write writes the rows of b in one piece.
func (w *Writer) Write(b Batch) error {
	w.buf.Reset()
	switch w.format {
	case CSV:
		if err := w.csv(&b); err != nil {
			return fault.Wrap(err, fault.Internal, "the rows cannot be written as CSV")
		}
	case NDJSON:
		w.ndjson(&b)
	default:
		w.frame(&b)
	}
	n, err := w.w.Write(w.buf.Bytes())
	w.bytes += int64(n)
	return fault.Wrap(err, fault.Unavailable, "the output cannot be written; is the disk full?")
}

func (w *Writer) ndjson(b *Batch) {
	var names [][]byte
	for o := range b.Result.Outputs {
		names = append(names, append(wire.AppendString([]byte{','}, b.Result.Outputs[o].Name), ':'))
	}
	line := w.buf.AvailableBuffer()
	for i := range b.Rows {
		line = wire.AppendString(append(line, `{"id":`...), b.id(i))
		line = append(line, `,"row":`...)
		line = strconv.AppendInt(line, int64(b.First+i), 10)
		line = append(line, `,"version":`...)
		line = strconv.AppendInt(line, int64(b.Result.Version), 10)
		for o := range b.Result.Outputs {
			t := &b.Result.Outputs[o]
			width := t.Len() / b.Rows
			line = append(line, names[o]...)
			if width == 1 && len(t.Shape) < 3 {
				line = oip.AppendElement(line, t, i)
			} else {
				line = oip.AppendData(line, t, i*width, (i+1)*width)
			}
		}
		line = append(line, '}', '\n')
	}
	w.buf.Write(line)
}

func (w *Writer) csv(b *Batch) error {
	c := csv.NewWriter(&w.buf)
	if !w.begun {
		w.begun = true
		if err := c.Write(append([]string{"row", "id", "version"}, columns(b)...)); err != nil {
			return err
		}
	}
	var record []string
	for i := range b.Rows {
		record = append(record[:0], strconv.Itoa(b.First+i), b.id(i), strconv.Itoa(b.Result.Version))
		for o := range b.Result.Outputs {
			t := &b.Result.Outputs[o]
			width := t.Len() / b.Rows
			for k := range width {
				record = append(record, text(t, i*width+k))
			}
		}
		if err := c.Write(record); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// columns are the names of the outputs' values in a row: p, or p_0, p_1, … of several.
func columns(b *Batch) []string {
	var names []string
	for o := range b.Result.Outputs {
		t := &b.Result.Outputs[o]
		width := t.Len() / b.Rows
		for k := range width {
			if width == 1 {
				names = append(names, t.Name)
			} else {
				names = append(names, t.Name+"_"+strconv.Itoa(k))
			}
		}
	}
	return names
}

// text writes element i with as many digits as it takes to read it back.
func text(t *tensor.Tensor, i int) string {
	switch t.Datatype {
	case tensor.Bytes:
		return t.Strings[i]
	case tensor.FP32: // CSV has NaN and infinities
		return strconv.FormatFloat(float64(t.FP32s[i]), 'g', -1, 32)
	case tensor.FP64:
		return strconv.FormatFloat(t.FP64s[i], 'g', -1, 64)
	case tensor.FP16:
		return strconv.FormatFloat(float64(tensor.HalfToFloat32(t.U16s[i])), 'g', -1, 32)
	}
	return string(oip.AppendElement(nil, t, i))
}

// id names row i of the batch as labels do (docs/formats/capture.md); "" if the
// server gives no ids.
func (b *Batch) id(i int) string {
	if b.Rows == 1 || b.Result.ID == "" {
		return b.Result.ID
	}
	return b.Result.ID + "#" + strconv.Itoa(i)
}

// frame writes b as the answer it was, behind two lengths: of what follows, and of
// its JSON part.
func (w *Writer) frame(b *Batch) {
	every := func(string) bool { return true }
	body, head := oip.AppendAnswer(nil, &oip.Answer{Version: strconv.Itoa(b.Result.Version), ID: b.Result.ID, Outputs: b.Result.Outputs, Binary: every})
	lengths := binary.LittleEndian.AppendUint32(nil, uint32(len(body))) // #nosec G115 -- an answer of at most 64 MB
	lengths = binary.LittleEndian.AppendUint32(lengths, uint32(head))   // #nosec G115
	w.buf.Write(lengths)
	w.buf.Write(body)
}
