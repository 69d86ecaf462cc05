package httpapi

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// sentinel stands for a value of the input, which must not be in any answer or observation.
const sentinel = "S3NT1NEL"

func packed(t testing.TB, encoding, body string) string {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch encoding {
	case "gzip":
		w := gzip.NewWriter(&b)
		_, err = w.Write([]byte(body))
		w.Close()
	case "zlib":
		w := zlib.NewWriter(&b)
		_, err = w.Write([]byte(body))
		w.Close()
	case "raw":
		w, _ := flate.NewWriter(&b, 5)
		_, err = w.Write([]byte(body))
		w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func word1(data string) string {
	return `{"inputs":[{"name":"s","shape":[1],"datatype":"BYTES","data":` + data + `}]}`
}

func wideJSON(shape, data string) string {
	return `{"inputs":[{"name":"x","shape":` + shape + `,"datatype":"FP32","data":` + data + `}]}`
}

const (
	inferFlights = "/v2/models/flights/infer"
	inferWide    = "/v2/models/wide/infer"
	inferWord    = "/v2/models/word/infer"
	rowsFlights  = "/v1/models/flights:predict"
)

func TestBadInput(t *testing.T) {
	good := flightsBody(2)
	with := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	c0 := `"name":"c0","shape":[2,1],"datatype":"BYTES","data":["UA","UA"]`
	n0 := `"name":"n0","shape":[2,1],"datatype":"FP32","data":[1.5,1.5]`
	bin := `{"inputs":[{"name":"x","shape":[1,30],"datatype":"FP32","parameters":{"binary_data_size":120}}]}`
	floats := strings.Repeat("\x00", 120)
	length := func(v string) Header { return Header{"inference-header-content-length": v} }
	tests := []struct {
		name, path string
		header     Header
		body       string
		status     int
		want       string
	}{
		{"not JSON", inferFlights, nil, sentinel, 400, "not valid JSON"},
		{"truncated", inferFlights, nil, good[:300], 400, "not valid JSON"},
		{"empty body", inferFlights, nil, "", 400, "no body"},
		{"empty body of rows", rowsFlights, nil, "", 400, "no body"},
		{"odd content type is no error", inferFlights, Header{"content-type": "text/vnd.odd; x"}, good, 200, `"model_name":"flights"`},
		{"no content type is no error", inferFlights, nil, good, 200, `"model_name":"flights"`},
		{"gzip", inferFlights, Header{"content-encoding": "gzip"}, packed(t, "gzip", good), 200, `"model_name":"flights"`},
		{"deflate as zlib", inferFlights, Header{"content-encoding": "deflate"}, packed(t, "zlib", good), 200, `"model_name":"flights"`},
		{"deflate raw", inferFlights, Header{"content-encoding": "Deflate"}, packed(t, "raw", good), 200, `"model_name":"flights"`},
		{"gzip bomb", inferFlights, Header{"content-encoding": "gzip"}, packed(t, "gzip", strings.Repeat(" ", 30<<20)), 413, "inflates to more than 1048576 bytes"},
		{"zlib bomb", inferFlights, Header{"content-encoding": "deflate"}, packed(t, "zlib", strings.Repeat(" ", 30<<20)), 413, "inflates to more"},
		{"gzip bomb of rows", rowsFlights, Header{"content-encoding": "gzip"}, packed(t, "gzip", strings.Repeat(" ", 30<<20)), 413, "inflates to more"},
		{"not gzip", inferFlights, Header{"content-encoding": "gzip"}, good, 400, "not in the Content-Encoding"},
		{"cut gzip", inferFlights, Header{"content-encoding": "gzip"}, packed(t, "gzip", good)[:60], 400, "cut off"},
		{"brotli", inferFlights, Header{"content-encoding": "br"}, good, 400, "Content-Encoding is not supported"},
		{"large body", inferFlights, nil, strings.Repeat(" ", 1<<20+1), 413, "more than 1048576 bytes"},
		{"no rows", inferWide, nil, wideJSON("[0,30]", "[]"), 400, "has no rows"},
		{"no rows in rows", rowsFlights, nil, `{"instances":[]}`, 400, "no rows"},
		{"data shorter than its shape", inferWide, nil, wideJSON("[1,5]", "[1,2,3]        "), 400, "inputs[0].data has fewer values"},
		{"data longer than its shape", inferWide, nil, wideJSON("[1,2]", "[1,2,3]"), 400, "inputs[0].data has more values"},
		{"shape overflows", inferWide, nil, wideJSON("[9223372036854775807,9223372036854775807]", "[1]"), 400, "inputs[0].shape asks for more elements"},
		{"negative dimension", inferWide, nil, wideJSON("[-1,30]", "[1]"), 400, "inputs[0].shape has a negative dimension"},
		{"huge dimension", inferWide, nil, wideJSON("[100000000,30]", "[1]"), 400, "inputs[0].shape asks for more"},
		{"rows without values", inferFlights, nil, rowsClaimed, 400, `inputs["n0"].shape does not fit [-1 1] in dimension 1`},
		{"NaN", inferFlights, nil, with(n0, strings.Replace(n0, "1.5", "NaN", 1)), 400, "inputs[0].data[0] is not JSON: NaN"},
		{"Infinity", inferFlights, nil, with(n0, strings.Replace(n0, "1.5", "-Infinity", 1)), 400, "NaN and Infinity"},
		{"binary infinity", inferWide, length(strconv.Itoa(len(bin))), bin + strings.Repeat("\x00\x00\x80\x7f", 30), 400, `inputs["x"].data[0] is infinite`},
		{"binary NaN", inferWide, length(strconv.Itoa(len(bin))), bin + strings.Repeat("\x00\x00\xc0\x7f", 30), 400, `inputs["x"].data[0] is missing`},
		{"out of the range of the datatype", inferFlights, nil, with(n0, strings.Replace(n0, "1.5", "31337e38", 1)), 400, "inputs[0].data[0] is out of the range"},
		{"wrong datatype", inferFlights, nil, with(n0, strings.Replace(n0, "FP32", "FP64", 1)), 400, `inputs["n0"].datatype is FP64, want FP32`},
		{"string for a number", inferFlights, nil, with(n0, strings.Replace(n0, "1.5", `"`+sentinel+`"`, 1)), 400, "inputs[0].data[0] is not a number"},
		{"missing column", inferFlights, nil, with(`{`+n0+`},`, ``), 400, `inputs["n0"] is missing`},
		{"extra column", inferFlights, nil, with(`"inputs":[`, `"inputs":[{"name":"`+sentinel+`","shape":[2,1],"datatype":"FP32","data":[1,2]},`), 400, "inputs[0] is not an input of the model"},
		{"extra column of rows", rowsFlights, nil, `{"instances":[{"n0":1,"c0":"UA","` + sentinel + `":1}]}`, 400, "instances[0] has a column that is not an input"},
		{"duplicate column", inferFlights, nil, with(`"name":"n1"`, `"name":"n0"`), 400, "inputs[1].name repeats that of inputs[0]"},
		{"below the contract", inferFlights, nil, with(n0, strings.Replace(n0, "1.5", "-31337", 1)), 400, `inputs["n0"].data[0] is below the minimum -100`},
		{"above the contract", rowsFlights, nil, `{"instances":[{"n0":31337,"c0":"UA"}]}`, 400, "instances[0].n0 is above the maximum 5000"},
		{"unknown category where open", inferFlights, nil, with(`"name":"c1","shape":[2,1],"datatype":"BYTES","data":["UA"`, `"name":"c1","shape":[2,1],"datatype":"BYTES","data":["new"`), 200, `"outputs"`},
		{"unknown category where closed", inferFlights, nil, with(c0, strings.Replace(c0, `"UA"`, `"`+sentinel+`"`, 1)), 400, `inputs["c0"].data[0] is not one of the categories`},
		{"missing where refused", inferFlights, nil, with(c0, strings.Replace(c0, `"UA"`, `null`, 1)), 400, `inputs["c0"].data[0] is missing`},
		{"unknown model", "/v2/models/nothing/infer", nil, good, 404, "no model"},
		{"unknown version", "/v2/models/flights/versions/9/infer", nil, good, 404, "no version 9"},
		{"version that is no number", "/v2/models/flights/versions/latest/infer", nil, good, 404, "versions are numbers"},
		{"version 0", "/v2/models/flights/versions/0/infer", nil, good, 404, "versions are numbers"},
		{"unknown label", "/v1/models/flights/labels/best:predict", nil, `{}`, 404, "labels are champion"},
		{"model name of another alphabet", "/v2/models/..%2F..%2Fetc/infer", nil, good, 404, "valid model name"},
		{"header length with prefix", inferWide, length("x" + strconv.Itoa(len(bin))), bin + floats, 400, "Inference-Header-Content-Length is not"},
		{"header length negative", inferWide, length("-5"), bin + floats, 400, "Inference-Header-Content-Length is not"},
		{"header length over the body", inferWide, length("100000"), bin + floats, 400, "Inference-Header-Content-Length is larger than the body"},
		{"header length overflows", inferWide, length("18446744073709551700"), bin + floats, 400, "Inference-Header-Content-Length is not"},
		{"header length too short", inferWide, length("10"), bin + floats, 400, "not valid JSON"},
		{"header length over the JSON", inferWide, length(strconv.Itoa(len(bin) + 4)), bin + floats, 400, "not valid JSON"},
		{"header length missing", inferWide, nil, bin + floats, 400, "not valid JSON"},
		{"binary_data_size too large", inferWide, length(strconv.Itoa(len(bin))), bin + floats[:100], 400, "larger than what is left of the body"},
		{"deep nesting", inferWide, nil, wideJSON("[1,30]", strings.Repeat("[", 200000)), 400, "nested deeper"},
		{"deep nesting of rows", rowsFlights, nil, `{"instances":` + strings.Repeat("[", 200000), 400, "nested deeper"},
		{"unknown output", inferWord, nil, strings.TrimSuffix(word1(`["`+sentinel+`"]`), "}") + `,"outputs":[{"name":"zz` + sentinel + `"}]}`, 400, "outputs[0].name is not an output of the model"},
		{"output twice", inferWide, nil, strings.TrimSuffix(wideJSON("[1,30]", "["+strings.Repeat("0,", 29)+"0]"), "}") + `,"outputs":[{"name":"y"},{"name":"y"}]}`, 400, "outputs[1].name is asked for twice"},
		{"key too long", inferFlights, Header{"tidegate-key": strings.Repeat("k", 300)}, good, 400, "Tidegate-Key is longer than 256 bytes"},
		{"parameter key too long", inferFlights, nil, with(`"id":"client-1"`, `"parameters":{"key":"`+strings.Repeat("k", 300)+`"}`), 400, "parameters.key is longer"},
		{"id too long", inferFlights, nil, with(`client-1`, strings.Repeat("i", 300)), 400, "id is longer than 256 bytes"},
		{"rows for a model of free dimensions", "/v1/models/word:classify", nil, `{}`, 501, "only :predict"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, fleet, rec := newAPI(t, Options{MaxBody: 1 << 20})
			resp, text := call(t, a, "POST", tt.path, tt.header, tt.body)
			if resp.Status != tt.status || !strings.Contains(unquoted(text), tt.want) {
				t.Fatalf("status %d %s\nwant %d with %q", resp.Status, text, tt.status, tt.want)
			}
			if fleet.held != 0 || fleet.refresh != 1 || len(rec.observations) != 1 {
				t.Errorf("%d versions still held, %d refreshes, %d observations", fleet.held, fleet.refresh, len(rec.observations))
			}
			if tt.status != 200 {
				checkFailure(t, rec, resp, text)
			}
		})
	}
}

// rowsClaimed has two billion rows of no values; all inputs but these two may be absent.
const rowsClaimed = `{"inputs":[{"name":"n0","shape":[2147483647,0],"datatype":"FP32","data":[]},{"name":"c0","shape":[2147483647,0],"datatype":"BYTES","data":[]}]}`

// TestAbsentColumnsAreBounded: what is filled in is in proportion to the body too.
func TestAbsentColumnsAreBounded(t *testing.T) {
	s := wide(1)
	s.Contract.Columns = map[string]schema.Column{}
	for i := range 200 {
		name := "o" + strconv.Itoa(i)
		s.Signature.Inputs = append(s.Signature.Inputs, spec(name, tensor.FP64, -1, 1))
		s.Contract.Columns[name] = schema.Column{Missing: schema.Accept}
	}
	checker, err := schema.Compile(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	binary := func(shape string, size int) string {
		return fmt.Sprintf(`{"inputs":[{"name":"x","shape":%s,"datatype":"FP32","parameters":{"binary_data_size":%d}}]}`, shape, size)
	}
	const rows = 30000
	tests := []struct {
		name, head, raw string
		status          int
		want            string
	}{
		{"rows without values", wideJSON("[2147483647,0]", "[]"), "", 400, `inputs["x"].shape does not fit [-1 1] in dimension 1`},
		{"rows without bytes", binary("[2147483647,0]", 0), "", 400, `inputs["x"].shape does not fit [-1 1] in dimension 1`},
		{"many rows", wideJSON("[30000,1]", "["+strings.Repeat("0,", rows-1)+"0]"), "", 400, `inputs["o140"] is missing, and has too many values to be filled in; send it, or fewer rows a request`},
		{"many rows of bytes", binary("[30000,1]", 4*rows), strings.Repeat("\x00", 4*rows), 400, `inputs["o140"] is missing, and has too many values`},
		{"some rows", binary("[100,1]", 400), strings.Repeat("\x00", 400), 200, `"shape":[100,1]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, fleet, _ := newAPI(t, Options{})
			v := fleet.models["wide"].version
			v.Schema, v.Columns = s, checker
			fleet.models["wide"].version = v
			var header Header
			if strings.Contains(tt.head, "binary") {
				header = Header{"inference-header-content-length": strconv.Itoa(len(tt.head))}
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			resp, text := call(t, a, "POST", inferWide, header, tt.head+tt.raw)
			runtime.ReadMemStats(&after)
			if resp.Status != tt.status || !strings.Contains(unquoted(text), tt.want) {
				t.Errorf("status %d %s\nwant %d with %q", resp.Status, text, tt.status, tt.want)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
				t.Errorf("%d MB spent", n>>20)
			}
		})
	}
}

// unquoted undoes the escapes of quotes, for comparing.
func unquoted(text string) string { return strings.ReplaceAll(text, `\"`, `"`) }

// checkFailure checks what every failed request has in common: a body that
// clients can read, no value of the input anywhere, a record without inputs.
func checkFailure(t *testing.T, rec *tape, resp Response, text string) {
	t.Helper()
	var body struct {
		Error     string `json:"error"`
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(text), &body); err != nil || body.Error == "" || body.RequestID != "req-1" || resp.Header["Content-Type"] != "application/json" {
		t.Errorf("error body %s, %v", text, err)
	}
	seen := text + fmt.Sprintf("%+v %+v", rec.observations, rec.observations[0].Cause)
	for _, p := range rec.records {
		if len(p.Inputs)+len(p.Outputs) > 0 || p.ErrorKind == "" || p.Status != resp.Status {
			t.Errorf("a failed request is recorded as %+v", p)
		}
		seen += fmt.Sprintf("%+v", p)
	}
	for _, value := range []string{sentinel, "31337"} {
		if strings.Contains(seen, value) {
			t.Errorf("a value of the input shows: %s", seen)
		}
	}
	if o := rec.observations[0]; o.Status != resp.Status || o.ErrorKind == "" {
		t.Errorf("observed as %+v", o)
	}
}

func TestAllFaultsInOneAnswer(t *testing.T) {
	a, _, _ := newAPI(t, Options{})
	_, text := call(t, a, "POST", rowsFlights, nil, `{"instances":[{"n0":9999,"c0":"ZZ"},{"n0":-9999,"c0":"UA"},{"c0":"UA"}]}`)
	var body struct {
		Violations []struct{ Path, Problem string }
	}
	if err := json.Unmarshal([]byte(text), &body); err != nil || len(body.Violations) != 4 {
		t.Errorf("%s, %v: want 4 violations", text, err)
	}
}
