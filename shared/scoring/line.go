package scoring

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/rows"
	"github.com/tidegate/tidegate/shared/tensor"
)

// head is the first line of predictions: what was scored, and by what.
type head struct {
	V             int      `json:"v"`
	Kind          string   `json:"kind"` // head
	Model         string   `json:"model"`
	Version       int      `json:"version"`
	VersionDigest string   `json:"version_digest"`
	Settings      string   `json:"settings_digest,omitempty"`
	Runtime       string   `json:"runtime"`
	Run           string   `json:"run"`
	Item          string   `json:"item"`
	Source        Source   `json:"source"`
	ETag          string   `json:"etag"`
	IDColumn      string   `json:"id_column,omitempty"`
	Keep          []string `json:"keep,omitempty"`
	Absent        []string `json:"absent,omitempty"` // inputs without a column: missing in all rows
}

func newHead(in *In, etag string) head {
	return head{V: Version, Kind: "head", Model: in.Model, Version: in.Version, Run: in.Run, Item: in.Item, Source: in.Source, ETag: etag,
		IDColumn: in.IDColumn, Keep: in.Keep}
}

// tail is the last line. Predictions without it are no result.
type tail struct {
	Kind   string `json:"kind"` // end
	Rows   int64  `json:"rows"`
	Digest string `json:"digest"` // of all lines before
}

// appendLine appends rows [from, from+n) of a batch as one line.
func appendLine(dst []byte, in *In, v *version, batch []rows.Row, first int64, outputs []tensor.Tensor, from, n int) ([]byte, error) {
	dst = strconv.AppendInt(append(dst, `{"first_row":`...), first+int64(from), 10)
	dst = strconv.AppendInt(append(dst, `,"rows":`...), int64(n), 10)
	part := batch[from : from+n]
	if in.IDColumn != "" {
		dst = append(dst, `,"ids":[`...)
		for i, row := range part {
			if i > 0 {
				dst = append(dst, ',')
			}
			id, problem := idOf(row[in.IDColumn])
			if problem != "" {
				return nil, fault.New(fault.InvalidArgument, "row %d, column %s %s", first+int64(from+i)+1, quoted(in.IDColumn), problem)
			}
			dst = wire.AppendString(dst, id)
		}
		dst = append(dst, ']')
	}
	if len(in.Keep) > 0 {
		dst = append(dst, `,"kept":{`...)
		for k, name := range in.Keep {
			if k > 0 {
				dst = append(dst, ',')
			}
			dst = append(wire.AppendString(dst, name), ":["...)
			for i, row := range part {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = appendCell(dst, row[name])
			}
			dst = append(dst, ']')
		}
		dst = append(dst, '}')
	}
	var redact map[string]string
	if v.settings.Capture != nil {
		redact = v.settings.Capture.Redact
	}
	dst = capture.AppendOutputs(append(dst, `,"outputs":`...), in.Model, outputs, redact, len(batch), from, n)
	return append(dst, "}\n"...), nil
}

// maxID bounds an id, in bytes: it becomes a key of a join.
const maxID = 256

// idOf is a cell as an id.
func idOf(cell any) (id, problem string) {
	switch v := cell.(type) {
	case string:
		id = v
	case json.Number:
		id = v.String()
	case int64:
		id = strconv.FormatInt(v, 10)
	case float64:
		id = strconv.FormatFloat(v, 'f', -1, 64)
	case nil:
	default:
		return "", "is no id: text or a number is"
	}
	if id == "" {
		return "", "has no id"
	}
	if len(id) > maxID {
		return "", "is longer than 256 bytes"
	}
	return id, ""
}

// appendCell appends a cell as JSON: fields of a CSV file as the text that they are.
func appendCell(dst []byte, cell any) []byte {
	switch v := cell.(type) {
	case nil:
		return append(dst, "null"...)
	case string:
		return wire.AppendString(dst, v)
	case json.Number:
		return append(dst, v...)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case bool:
		return strconv.AppendBool(dst, v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return append(dst, "null"...)
		}
		return wire.AppendFloat64(dst, v)
	}
	text, err := json.Marshal(cell) // lists and objects of NDJSON
	if err != nil {
		return append(dst, "null"...)
	}
	return append(dst, text...)
}
