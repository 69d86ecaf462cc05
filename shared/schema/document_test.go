package schema

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

// schemaV1 is a stored document of format 1: it must load for ever.
const schemaV1 = `{"v":1,"task":"binary_classification",
 "signature":{"inputs":[{"name":"delay","datatype":"FP32","shape":[-1,1]},{"name":"m","datatype":"FP32","shape":[-1,2],"columns":["lat","lon"]}],
  "outputs":[{"name":"label","datatype":"INT64","shape":[-1]}]},
 "contract":{"columns":{"delay":{"missing":"accept","min":-60,"max":1440},"lat":{"min":-90}}}}`

func TestParseV1(t *testing.T) {
	s, err := Parse([]byte(schemaV1))
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, again); diff != "" || again.Task != Binary || *again.Contract.Columns["delay"].Max != 1440 {
		t.Errorf("%+v %s", again, diff)
	}
}

func TestParseRefuses(t *testing.T) {
	change := func(old, new string) string { return strings.Replace(schemaV1, old, new, 1) }
	tests := []struct {
		name, text string
		kind       fault.Kind
		want       string
	}{
		{"not JSON", `{`, fault.InvalidArgument, "not a schema"},
		{"newer format", change(`"v":1`, `"v":2`), fault.Unimplemented, "format 2"},
		{"no format", change(`"v":1,`, ``), fault.InvalidArgument, "v is not"},
		{"task", change("binary_", "unary_"), fault.InvalidArgument, "task is not"},
		{"no inputs", `{"v":1,"task":"regression","signature":{"outputs":[{"name":"y","datatype":"FP32","shape":[]}]}}`, fault.InvalidArgument, "signature.inputs has 0"},
		{"datatype", change("FP32", "FP8"), fault.InvalidArgument, "signature.inputs[0].datatype"},
		{"name twice", change(`"m"`, `"delay"`), fault.InvalidArgument, "signature.inputs[1].name"},
		{"zero dimension", change("[-1,1]", "[-1,0]"), fault.InvalidArgument, "signature.inputs[0].shape"},
		{"negative dimension", change("[-1,1]", "[-2,1]"), fault.InvalidArgument, "signature.inputs[0].shape"},
		{"huge shape", change("[-1,1]", "[4000000000,4000000000,4000000000]"), fault.InvalidArgument, "is too large"},
		{"deep shape", change("[-1,1]", "[1,1,1,1,1,1,1,1,1]"), fault.InvalidArgument, "more than 8"},
		{"columns and shape", change(`"lat","lon"`, `"lat"`), fault.InvalidArgument, "do not match"},
		{"columns repeat", change(`"lat","lon"`, `"lat","delay"`), fault.InvalidArgument, "same name"},
		{"rule without column", change(`"lat":{`, `"gone":{`), fault.InvalidArgument, `contract.columns["gone"]`},
		{"missing policy", change("accept", "maybe"), fault.InvalidArgument, "neither refuse nor accept"},
		{"bounds", change(`"max":1440`, `"max":-1440`), fault.InvalidArgument, "minimum above"},
		{"missing integers", change("FP32", "INT32"), fault.InvalidArgument, "has no missing value"},
		{"bounds of text", change("FP32", "BYTES"), fault.InvalidArgument, "is not a number"},
		{"categories of numbers", change(`"min":-90`, `"categories":["a"]`), fault.InvalidArgument, "only for BYTES"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.text))
			if !fault.Is(err, tt.kind) {
				t.Fatalf("error %v, want %s", err, tt.kind)
			}
			text, _ := json.Marshal(fault.Public(err))
			if !strings.Contains(strings.ReplaceAll(string(text)+err.Error(), `\"`, `"`), tt.want) && !strings.Contains(allOf(err), tt.want) {
				t.Errorf("error %s, want %q", text, tt.want)
			}
		})
	}
}

func allOf(err error) string {
	var b strings.Builder
	for _, v := range fault.Public(err).Violations {
		b.WriteString(v.Path + " " + v.Problem + "\n")
	}
	return b.String()
}

func TestCompatible(t *testing.T) {
	tests := []struct {
		name   string
		change func(next *Schema)
		want   string // "" = compatible
	}{
		{"same", func(*Schema) {}, ""},
		{"looser bounds", func(n *Schema) { n.Contract.Columns["delay"] = Column{Min: p(-100)} }, ""},
		{"accepts missing now", func(n *Schema) { n.Contract.Columns["delay"] = Column{Missing: Accept} }, ""},
		{"more categories", func(n *Schema) {
			n.Contract.Columns["carrier"] = Column{Categories: []string{"AA", "DL", "UA"}, RefuseUnknown: true}
		}, ""},
		{"open categories", func(n *Schema) { n.Contract.Columns["carrier"] = Column{} }, ""},
		{"new optional input", func(n *Schema) {
			n.Signature.Inputs = append(n.Signature.Inputs, Spec{Name: "rain", Datatype: tensor.FP32, Shape: []int64{-1, 1}})
			n.Contract.Columns["rain"] = Column{Missing: Accept}
		}, ""},
		{"new required input", func(n *Schema) {
			n.Signature.Inputs = append(n.Signature.Inputs, Spec{Name: "rain", Datatype: tensor.FP32, Shape: []int64{-1, 1}})
		}, "is new and refuses missing"},
		{"fewer inputs", func(n *Schema) { n.Signature.Inputs = n.Signature.Inputs[1:] }, "would be refused"},
		{"other datatype", func(n *Schema) { n.Signature.Inputs[0].Datatype = tensor.FP64 }, "is FP64"},
		{"narrower shape", func(n *Schema) { n.Signature.Inputs[0].Shape = []int64{1, 1} }, "has shape"},
		{"other rank", func(n *Schema) { n.Signature.Inputs[0].Shape = []int64{-1} }, "has shape"},
		{"columns moved", func(n *Schema) { n.Signature.Inputs[5].Columns = []string{"lon", "lat"} }, "another order"},
		{"refuses missing now", func(n *Schema) { n.Contract.Columns["wind"] = Column{} }, "refuses missing values"},
		{"higher minimum", func(n *Schema) { n.Contract.Columns["delay"] = Column{Min: p(-50), Max: p(1440)} }, "higher minimum"},
		{"new maximum", func(n *Schema) { n.Contract.Columns["seats"] = Column{Min: p(1), Max: p(500)} }, "lower maximum"},
		{"fewer categories", func(n *Schema) {
			n.Contract.Columns["carrier"] = Column{Categories: []string{"UA"}, RefuseUnknown: true}
		}, "lacks categories"},
		{"closed categories", func(n *Schema) {
			n.Contract.Columns["tail"] = Column{Missing: Accept, Categories: []string{"N1"}, RefuseUnknown: true}
		}, "refuses unknown categories"},
		{"other task", func(n *Schema) { n.Task = Regression }, "task is regression"},
		{"output gone", func(n *Schema) { n.Signature.Outputs[0].Name = "y" }, "is missing"},
		{"output of another type", func(n *Schema) { n.Signature.Outputs[0].Datatype = tensor.Bytes }, "is BYTES"},
		{"one more output", func(n *Schema) { n.Signature.Outputs = append(n.Signature.Outputs, Spec{Name: "extra"}) }, "is not an output of the model in service"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			next := trip()
			tt.change(next)
			got := Compatible(trip(), next)
			if (len(got) == 0) != (tt.want == "") || (tt.want != "" && !strings.Contains(got[0].Path+" "+got[0].Problem, tt.want)) {
				t.Errorf("violations %v, want %q", got, tt.want)
			}
		})
	}
}

// FuzzParse: a document that is accepted compiles, survives being written, and is compatible with itself.
func FuzzParse(f *testing.F) {
	f.Add([]byte(schemaV1))
	f.Add([]byte(`{"v":1,"task":"unspecified","signature":{"inputs":[{"name":"s","datatype":"BYTES","shape":[]}],"outputs":[{"name":"s","datatype":"FP16","shape":[3]}]},
		"contract":{"columns":{"s":{"categories":["a"],"refuse_unknown":true}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			if k := fault.KindOf(err); k != fault.InvalidArgument && k != fault.Unimplemented {
				t.Fatalf("error of kind %s", k)
			}
			return
		}
		c, err := Compile(s, nil)
		if err != nil {
			t.Fatalf("accepted, but does not compile: %v", err)
		}
		if _, err := c.Check(nil); err == nil && len(s.Signature.Inputs) > 0 && s.Signature.Inputs[0].Batched() {
			t.Fatal("an empty request was accepted")
		}
		if v := Compatible(s, s); len(v) > 0 {
			t.Fatalf("not compatible with itself: %v", v)
		}
		out, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(out); err != nil {
			t.Fatalf("does not survive being written: %v", err)
		}
	})
}
