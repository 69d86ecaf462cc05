package mlflow

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
)

var columns = []Column{{Name: "n", Width: 1}, {Name: "i", Width: 1, Kind: Integer}, {Name: "t", Width: 1, Kind: Text}, {Name: "b", Width: 1, Kind: Bool}}

var mixed = []Column{{Name: "x", Width: 3}, {Name: "a", Width: 1}, {Name: "b", Width: 1}}

var wide = []Column{{Name: "x", Width: 3}}

func TestLook(t *testing.T) {
	for _, tt := range []struct {
		body     string
		form     Form
		columnar bool
		rows     string
	}{
		{`{"instances":[1]}`, Rows, false, `{"instances":[1]}`},
		{` {"inputs" : {"a":[1]}} `, Rows, true, ` {"inputs" : {"a":[1]}} `},
		{`{"inputs":[[1,2]],"params":{"k":1}}`, Rows, true, `{"inputs":[[1,2]],"params":{"k":1}}`},
		{`{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}`, OIP, false, ""},
		{`{"inputs":[{"data":[1],"datatype":"FP32"}]}`, OIP, false, ""},
		{`{"dataframe_records": [{"a":1}], "params": null}`, Rows, false, `{"instances":[{"a":1}]}`},
		{`{"dataframe_split":{"columns":["a"],"data":[]}}`, Split, false, ""},
		{`{"id":"x"}`, Unknown, false, ""},
		{`[1,2]`, Unknown, false, ""},
		{`"instances"`, Unknown, false, ""},
	} {
		got, err := Look([]byte(tt.body), nil)
		if err != nil || got.Form != tt.form || got.Columnar != tt.columnar || string(got.Rows) != tt.rows {
			t.Errorf("%s: %+v %q, %v", tt.body, got, got.Rows, err)
		}
	}
	for _, bad := range []string{``, `{`, `{"instances":[}`, `{"instances":1} 2`, `{"instances":1,"inputs":2}`, `{"inputs":` + strings.Repeat("[", 100)} {
		if _, err := Look([]byte(bad), nil); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestFromSplit(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		columns    []Column
		want       string // of the body, or of the error
		kind       fault.Kind
	}{
		{"reordered", `{"columns":["t","n"],"index":[0,1],"data":[["a",1.5],["b",null]]}`, columns, `{"instances":[[1.5,null,"a",null],[null,null,"b",null]]}`, ""},
		{"data first", `{"data":[[1]],"columns":["n"]}`, columns, `{"instances":[[1,null,null,null]]}`, ""},
		{"no rows", `{"columns":["n"],"data":[]}`, columns, `{"instances":[]}`, ""},
		{"nested", `{"columns":["x"],"data":[[[1,2,3]]]}`, wide, `{"instances":[[1,2,3]]}`, ""},
		{"stranger and double", `{"columns":["z","n","n"],"data":[[1,2,3]]}`, columns, "dataframe_split.columns[0]", fault.InvalidArgument},
		{"too many values", `{"columns":["n"],"data":[[1],[1,2]]}`, columns, "dataframe_split.data[1]", fault.InvalidArgument},
		{"too few values", `{"columns":["n","t"],"data":[[1]]}`, columns, "dataframe_split.data[0]", fault.InvalidArgument},
		{"row is no array", `{"columns":["n"],"data":[1]}`, columns, "dataframe_split.data[0]", fault.InvalidArgument},
		{"data is no array", `{"columns":["n"],"data":{}}`, columns, "dataframe_split.data", fault.InvalidArgument},
		{"no columns", `{"data":[[1]]}`, columns, "dataframe_split.columns", fault.InvalidArgument},
		{"no data", `{"columns":["n"]}`, columns, "dataframe_split.data", fault.InvalidArgument},
		{"numbers as names", `{"columns":[1],"data":[[1]]}`, columns, "dataframe_split", fault.InvalidArgument},
		{"too large", `{"columns":["n"],"data":[` + strings.Repeat("[1],", 100) + `[1]]}`, columns, "bytes", fault.PayloadTooLarge},
	} {
		look, err := Look([]byte(`{"dataframe_split":`+tt.body+`}`), nil)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		got, err := FromSplit(look, tt.columns, 1000, nil)
		if tt.kind == "" && (err != nil || string(got) != tt.want) || tt.kind != "" && (!fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %s, %v", tt.name, got, err)
		}
	}
}

func TestFromCSV(t *testing.T) {
	for _, tt := range []struct {
		name, body, header string
		columns            []Column
		want               string
		kind               fault.Kind
	}{
		{"named", "t,n\na,1\nb,\n", "", columns, `{"instances":[[1,null,"a",null],[null,null,"b",null]]}`, ""},
		{"in order", "1.5,2,a,true\r\n,3.0,,FALSE\r\n", "", columns, `{"instances":[[1.5,2,"a",true],[null,3,null,false]]}`, ""},
		{"byte order mark, quotes", "\xef\xbb\xbft,n\n\"a,\"\"b\"\"\",7\n", "", columns, `{"instances":[[7,null,"a,\"b\"",null]]}`, ""},
		{"numbers that JSON does not have", "+1,1e3,x,1\n.5,2.,y,0\nNaN,5,z,T\n", "", columns, `{"instances":[[1,1000,"x",true],[0.5,2,"y",false],[null,5,"z",true]]}`, ""},
		{"no numbers stay for the decoder to refuse", "x,1.5,t,maybe\n0x10,1e400,t,1\n", "", columns, `{"instances":[["x",1.5,"t","maybe"],["0x10","1e400","t",true]]}`, ""},
		{"a header that says so", "n\n1\n", "present", columns, `{"instances":[[1,null,null,null]]}`, ""},
		{"names as data", "n,1,t,true\n", "absent", columns, `{"instances":[["n",1,"t",true]]}`, ""},
		{"wide", "1,2,3\n4,5,6\n", "", wide, `{"instances":[[1,2,3],[4,5,6]]}`, ""},
		{"wide among others", "1,2,3,4,5\n", "", mixed, `{"instances":[[[1,2,3],4,5]]}`, ""},
		{"wide among others, without it", "b,a\n5,4\n", "", mixed, `{"instances":[[null,4,5]]}`, ""},
		{"wide by name", "x,a,b\n1,2,3\n", "", mixed, `header[0] names input "x", which takes 3 values a row`, fault.InvalidArgument},
		{"wide by name at the end", "a,b,x\n1,2,3\n", "present", mixed, `header[2] names input "x"`, fault.InvalidArgument},
		{"wide by name for each field", "x,x,x\n1,2,3\n", "", wide, `header[0] names input "x"`, fault.InvalidArgument},
		{"wide by name alone", "x\n1\n", "", wide, `header[0] names input "x"`, fault.InvalidArgument},
		{"header only", "n\n", "", columns, `{"instances":[]}`, ""},
		{"empty", "", "", columns, "no line", fault.InvalidArgument},
		{"ragged", "n,t\n1,a\n2\n", "", columns, "row[1]", fault.InvalidArgument},
		{"stranger", "n,zz\n1,2\n", "present", columns, "header[1]", fault.InvalidArgument},
		{"quote", "n,t\n1,\"a\n", "", columns, "line", fault.InvalidArgument},
		{"parameter", "n\n1\n", "perhaps", columns, "header", fault.InvalidArgument},
		{"too large", "n\n" + strings.Repeat("1\n", 200), "", columns, "bytes", fault.PayloadTooLarge},
	} {
		got, err := FromCSV([]byte(tt.body), tt.columns, tt.header, 1000, nil)
		if tt.kind == "" && (err != nil || string(got) != tt.want) || tt.kind != "" && (!fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %s, %v", tt.name, got, err)
		}
	}
}

// FuzzLook holds that whatever is read becomes JSON within the limit.
func FuzzLook(f *testing.F) {
	for _, seed := range []string{`{"instances":[1]}`, `{"dataframe_split":{"columns":["n","t"],"data":[[1,"a"],[2,null]]}}`, `{"dataframe_records":[{"n":1}]}`, `{"inputs":[{"datatype":1}]}`, `{"dataframe_split":{"data":[[[[1]]]],"columns":["n"]}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		look, err := Look(body, nil)
		if err != nil {
			return
		}
		out := look.Rows
		if look.Form == Split {
			if out, err = FromSplit(look, columns, 1<<16, nil); err != nil {
				return
			}
		}
		if (look.Form == Split || look.Form == Rows) && !json.Valid(out) {
			t.Errorf("%q became %q", body, out)
		}
	})
}

func FuzzFromCSV(f *testing.F) {
	for _, seed := range []string{"n,i,t,b\n1,2,a,true\n", "1,2,a,1\n", "n\n\n", "\"", "1,2\n3\n", "\xef\xbb\xbfn\n-.5e-3\n", "x,a,b\n1,2,3\n", "1,2,3,4,5\n"} {
		f.Add([]byte(seed), "")
	}
	f.Fuzz(func(t *testing.T, body []byte, header string) {
		for _, c := range [][]Column{columns, wide, mixed} {
			out, err := FromCSV(body, c, header, 1<<16, nil)
			if err != nil {
				if k := fault.KindOf(err); k != fault.InvalidArgument && k != fault.PayloadTooLarge {
					t.Errorf("%q: %v", body, err)
				}
			} else if !json.Valid(out) {
				t.Errorf("%q became %q", body, out)
			}
		}
	})
}
