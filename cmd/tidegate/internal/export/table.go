package export

import (
	"encoding/json"
	"io"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
)

// rowGroup bounds the rows that the writer holds.
const rowGroup = 50_000

// table writes rows.
type table struct {
	columns []column
	fixed   map[string]int // index of the reserved columns
	width   int
	writer  *parquet.GenericWriter[any]
	rows    uint64
	buffer  []parquet.Row
}

func newTable(t *types, w io.Writer) (*table, error) {
	out := &table{columns: t.named(), fixed: map[string]int{}}
	group := parquet.Group{"id": parquet.String(), "ts": parquet.Timestamp(parquet.Microsecond), "version": parquet.Leaf(parquet.Int64Type), "slot": parquet.String()}
	for _, c := range out.columns {
		group[c.name] = parquet.Optional(c.kind.node())
	}
	schema := parquet.NewSchema("captures", group)
	for i, path := range schema.Columns() {
		for k := range out.columns {
			if out.columns[k].name == path[0] {
				out.columns[k].index = i
			}
		}
		for _, name := range reserved {
			if name == path[0] {
				out.fixed[name] = i
			}
		}
	}
	out.width = len(schema.Columns())
	out.writer = parquet.NewGenericWriter[any](w, schema, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(rowGroup),
		parquet.CreatedBy("tidegate", "1", "export"))
	return out, nil
}

func (k kind) node() parquet.Node {
	switch k {
	case integer:
		return parquet.Leaf(parquet.Int64Type)
	case boolean:
		return parquet.Leaf(parquet.BooleanType)
	case text:
		return parquet.String()
	}
	return parquet.Leaf(parquet.DoubleType)
}

func (t *table) write(r *capture.Record) error {
	t.buffer = t.buffer[:0]
	for i := range r.Rows {
		row := make(parquet.Row, t.width)
		at := t.fixed["id"]
		row[at] = parquet.ByteArrayValue([]byte(rowID(r, i))).Level(0, 0, at)
		at = t.fixed["ts"]
		row[at] = parquet.Int64Value(r.TS.UnixMicro()).Level(0, 0, at)
		at = t.fixed["version"]
		row[at] = parquet.Int64Value(int64(r.Version)).Level(0, 0, at)
		at = t.fixed["slot"]
		row[at] = parquet.ByteArrayValue([]byte(r.Slot)).Level(0, 0, at)
		for k := range t.columns {
			c := &t.columns[k]
			row[c.index] = c.value(r, i)
		}
		t.buffer = append(t.buffer, row)
	}
	n, err := t.writer.WriteRows(t.buffer)
	t.rows += uint64(n)
	return fault.Wrap(err, fault.Unavailable, "the Parquet file cannot be written; is the disk full?")
}

// rowID names row i as labels do (docs/formats/capture.md).
func rowID(r *capture.Record, i int) string {
	if r.TotalRows <= 1 && r.FirstRow == 0 && r.Rows <= 1 {
		return r.ID
	}
	return r.ID + "#" + strconv.Itoa(r.FirstRow+i)
}

func (c *column) value(r *capture.Record, i int) parquet.Value {
	columns := r.Inputs
	if c.key.output {
		columns = r.Outputs
	}
	var cell any
	if list, ok := columns[c.key.name].([]any); ok {
		cell = list[i]
	}
	if vector, ok := cell.([]any); ok && c.at >= 0 {
		cell = nil
		if c.at < len(vector) {
			cell = vector[c.at]
		}
	} else if ok && c.single && len(vector) == 1 {
		cell = vector[0]
	}
	v, ok := c.kind.encode(cell)
	if !ok {
		return parquet.NullValue().Level(0, 0, c.index)
	}
	return v.Level(0, 1, c.index)
}

// encode is the value of cell, which is of the kind, unless it is missing.
func (k kind) encode(cell any) (parquet.Value, bool) {
	switch v := cell.(type) {
	case nil:
		return parquet.Value{}, false
	case bool:
		if k == boolean {
			return parquet.BooleanValue(v), true
		}
	case json.Number:
		if k == integer {
			i, err := v.Int64()
			return parquet.Int64Value(i), err == nil
		}
		if k == number {
			x, ok := float(v)
			return parquet.DoubleValue(x), ok
		}
		return parquet.ByteArrayValue([]byte(v)), true
	case string:
		return parquet.ByteArrayValue([]byte(v)), true
	}
	raw, err := json.Marshal(cell) // what has no type of its own is its JSON text
	return parquet.ByteArrayValue(raw), err == nil && k == text
}
