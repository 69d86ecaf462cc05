package bulk

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Writer writes one line per row: its number, the inference id that joins the
// capture and later the label, the version that answered, and the outputs.
type Writer struct {
	format string // ndjson or csv
	w      io.Writer
	header bool // written, or there from an earlier run
}

// NewWriter returns a writer of format ndjson or csv. resumed says that w continues a file that has rows.
func NewWriter(w io.Writer, format string, resumed bool) (*Writer, error) {
	if format != "ndjson" && format != "csv" {
		return nil, fault.New(fault.InvalidArgument, "the output format must be ndjson or csv")
	}
	return &Writer{format: format, w: w, header: resumed}, nil
}

// Write writes the rows of b in one piece, so that an interrupt tears no line in two of them.
func (w *Writer) Write(b Batch) error {
	var buf bytes.Buffer
	var err error
	if w.format == "csv" {
		err = w.csv(&buf, b)
	} else {
		err = ndjson(&buf, b)
	}
	if err != nil {
		return err
	}
	_, err = w.w.Write(buf.Bytes())
	return fault.Wrap(err, fault.Unavailable, "the output cannot be written; is the disk full?")
}

func ndjson(buf *bytes.Buffer, b Batch) error {
	for i := range b.Rows {
		head, err := json.Marshal(map[string]any{"row": b.First + i, "id": b.id(i), "version": b.Result.Version})
		if err != nil {
			return err
		}
		buf.Write(head[:len(head)-1])
		for o := range b.Result.Outputs {
			t := &b.Result.Outputs[o]
			name, err := json.Marshal(t.Name)
			if err != nil {
				return err
			}
			buf.WriteString("," + string(name) + ":")
			if err := cellsJSON(buf, t, i, len(b.Rows)); err != nil {
				return err
			}
		}
		buf.WriteString("}\n")
	}
	return nil
}

// cellsJSON writes row i of t: a value, or an array where a row has several.
func cellsJSON(buf *bytes.Buffer, t *tensor.Tensor, i, n int) error {
	width, err := widthOf(t, n)
	if err != nil {
		return err
	}
	if width == 1 && len(t.Shape) < 3 {
		buf.WriteString(jsonCell(t, i))
		return nil
	}
	buf.WriteByte('[')
	for k := range width {
		if k > 0 {
			buf.WriteByte(',')
		}
		buf.WriteString(jsonCell(t, i*width+k))
	}
	buf.WriteByte(']')
	return nil
}

func (w *Writer) csv(buf *bytes.Buffer, b Batch) error {
	c := csv.NewWriter(buf)
	header := []string{"row", "id", "version"}
	widths := make([]int, len(b.Result.Outputs))
	for o := range b.Result.Outputs {
		t := &b.Result.Outputs[o]
		var err error
		if widths[o], err = widthOf(t, len(b.Rows)); err != nil {
			return err
		}
		for k := range widths[o] {
			name := t.Name
			if widths[o] > 1 {
				name += "_" + strconv.Itoa(k)
			}
			header = append(header, name)
		}
	}
	if !w.header {
		w.header = true
		if err := c.Write(header); err != nil {
			return err
		}
	}
	for i := range b.Rows {
		record := []string{strconv.Itoa(b.First + i), b.id(i), strconv.Itoa(b.Result.Version)}
		for o := range b.Result.Outputs {
			for k := range widths[o] {
				record = append(record, text(&b.Result.Outputs[o], i*widths[o]+k))
			}
		}
		if err := c.Write(record); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// id names row i of the batch as labels do (docs/formats/capture.md).
func (b *Batch) id(i int) string {
	if len(b.Rows) == 1 {
		return b.Result.ID
	}
	return b.Result.ID + "#" + strconv.Itoa(i)
}

func widthOf(t *tensor.Tensor, n int) (int, error) {
	if n == 0 || t.Rows() != int64(n) || t.Len()%n != 0 {
		return 0, fault.New(fault.Internal, "output %q has %d rows where %d were sent", t.Name, t.Rows(), n)
	}
	return t.Len() / n, nil
}

// text writes element i with as many digits as it takes to read it back.
func text(t *tensor.Tensor, i int) string {
	switch t.Datatype {
	case tensor.FP32:
		return strconv.FormatFloat(float64(t.FP32s[i]), 'g', -1, 32)
	case tensor.FP64:
		return strconv.FormatFloat(t.FP64s[i], 'g', -1, 64)
	case tensor.Bytes:
		return t.Strings[i]
	case tensor.Bool:
		return strconv.FormatBool(t.Bools[i])
	case tensor.Uint8:
		return fmt.Sprint(t.U8s[i])
	case tensor.Uint16, tensor.FP16:
		return fmt.Sprint(t.U16s[i])
	case tensor.Uint32:
		return fmt.Sprint(t.U32s[i])
	case tensor.Uint64:
		return fmt.Sprint(t.U64s[i])
	case tensor.Int8:
		return fmt.Sprint(t.I8s[i])
	case tensor.Int16:
		return fmt.Sprint(t.I16s[i])
	case tensor.Int32:
		return fmt.Sprint(t.I32s[i])
	case tensor.Int64:
		return fmt.Sprint(t.I64s[i])
	}
	return ""
}

// jsonCell writes element i as JSON; NaN, which JSON does not have, is null.
func jsonCell(t *tensor.Tensor, i int) string {
	s := text(t, i)
	switch {
	case t.Datatype == tensor.Bytes:
		quoted, err := json.Marshal(s)
		if err != nil { // a string always encodes
			return `""`
		}
		return string(quoted)
	case s == "NaN" || s == "+Inf" || s == "-Inf":
		return "null"
	}
	return s
}
