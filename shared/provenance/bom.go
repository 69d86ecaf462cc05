package provenance

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// CycloneDX 1.6, the part of it that a model needs (https://cyclonedx.org/docs/1.6/json/).

type bom struct {
	Schema       string      `json:"$schema"`
	Format       string      `json:"bomFormat"`
	Spec         string      `json:"specVersion"`
	Serial       string      `json:"serialNumber"`
	Version      int         `json:"version"`
	Metadata     bomMetadata `json:"metadata"`
	Components   []component `json:"components,omitempty"`
	Dependencies []dependsOn `json:"dependencies"`
}

type bomMetadata struct {
	Timestamp time.Time `json:"timestamp"`
	Tools     struct {
		Components []component `json:"components"`
	} `json:"tools"`
	Component component `json:"component"`
}

type component struct {
	Type       string      `json:"type"`
	Ref        string      `json:"bom-ref,omitempty"`
	Name       string      `json:"name"`
	Version    string      `json:"version,omitempty"`
	Hashes     []bomHash   `json:"hashes,omitempty"`
	PURL       string      `json:"purl,omitempty"`
	References []reference `json:"externalReferences,omitempty"`
	Components []component `json:"components,omitempty"`
	Card       *modelCard  `json:"modelCard,omitempty"`
	Data       []bomData   `json:"data,omitempty"`
	Properties []property  `json:"properties,omitempty"`
}

type bomHash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type reference struct {
	URL  string `json:"url"`
	Type string `json:"type"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type bomData struct {
	Type     string    `json:"type"`
	Name     string    `json:"name,omitempty"`
	Contents *contents `json:"contents,omitempty"`
}

type contents struct {
	URL string `json:"url"`
}

type dependsOn struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn,omitempty"`
}

type modelCard struct {
	Parameters modelParameters `json:"modelParameters"`
	Analysis   *analysis       `json:"quantitativeAnalysis,omitempty"`
}

type modelParameters struct {
	Approach *approach    `json:"approach,omitempty"`
	Task     string       `json:"task,omitempty"`
	Datasets []datasetRef `json:"datasets,omitempty"`
	Inputs   []format     `json:"inputs,omitempty"`
	Outputs  []format     `json:"outputs,omitempty"`
}

type approach struct {
	Type string `json:"type"`
}

type datasetRef struct {
	Ref string `json:"ref"`
}

type format struct {
	Format string `json:"format"`
}

type analysis struct {
	Metrics []performance `json:"performanceMetrics"`
}

type performance struct {
	Type     string      `json:"type"`
	Value    string      `json:"value"`
	Slice    string      `json:"slice"`
	Interval *confidence `json:"confidenceInterval,omitempty"`
}

type confidence struct {
	Lower string `json:"lowerBound"`
	Upper string `json:"upperBound"`
}

const (
	modelRef   = "model"
	ownPrefix  = "tidegate:" // of properties
	registerID = "tidegate register"
)

// BOM is mlbom.cdx.json: a CycloneDX 1.6 bill of materials whose component is the
// model, with a model card, its files, and what went into it. The error is Internal.
func (v *Version) BOM() ([]byte, error) {
	m := v.Manifest
	b := bom{Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", Spec: "1.6", Version: 1,
		// Derived from what it is about, so that a repeated registration writes the same bytes.
		Serial: uuid.NewSHA1(uuid.NameSpaceURL, fmt.Appendf(nil, "tidegate:%s@%d:%s", m.Model, m.Version, m.Digest)).URN()}
	b.Metadata.Timestamp = m.CreatedAt.UTC().Truncate(time.Second)
	b.Metadata.Tools.Components = []component{{Type: "application", Name: registerID}}
	model := component{Type: "machine-learning-model", Ref: modelRef, Name: m.Model, Version: strconv.Itoa(m.Version), Hashes: hashes(v.modelDigest()), Card: v.card()}
	for _, f := range m.Files {
		model.Components = append(model.Components, component{Type: "file", Ref: "file:" + f.Path, Name: f.Path, Hashes: hashes(f.SHA256)})
	}
	model.Properties = v.properties()
	needs := []string{"runtime"}
	name, version, _ := strings.Cut(m.Runtime, " ")
	b.Components = []component{{Type: "framework", Ref: "runtime", Name: cmp.Or(name, "unknown"), Version: version}}
	for i, d := range v.dependencies() {
		ref := fmt.Sprintf("%s:%d", d.kind, i)
		b.Components, needs = append(b.Components, d.component(ref)), append(needs, ref)
		if card := model.Card; d.isData() {
			card.Parameters.Datasets = append(card.Parameters.Datasets, datasetRef{Ref: ref})
		}
	}
	b.Metadata.Component = model
	b.Dependencies = []dependsOn{{Ref: modelRef, On: needs}}
	return encode(b)
}

func hashes(sha256 string) []bomHash {
	if sha256 == "" {
		return nil
	}
	return []bomHash{{Algorithm: "SHA-256", Content: registry.Hex(sha256)}}
}

func (d *dependency) isData() bool {
	return d.kind == "dataset" || d.kind == "source" || d.kind == "data"
}

// component is what went in, as a component of the bill.
func (d *dependency) component(ref string) component {
	c := component{Ref: ref, Name: cmp.Or(d.name, d.kind), Version: d.version, Hashes: hashes(d.sha256)}
	for _, name := range slices.Sorted(maps.Keys(d.notes)) {
		c.Properties = append(c.Properties, property{ownPrefix + name, d.notes[name]})
	}
	switch {
	case d.kind == "package":
		c.Type, c.PURL = "library", d.uri
		return c
	case d.isData():
		c.Type = "data"
		data := bomData{Type: "dataset", Name: c.Name}
		if d.uri != "" {
			data.Contents = &contents{URL: d.uri}
		}
		c.Data = []bomData{data}
		return c
	case d.kind == "image":
		c.Type = "container"
	case d.kind == "code":
		c.Type = "application"
	default:
		c.Type = "file"
	}
	if d.uri != "" {
		c.References = []reference{{URL: d.uri, Type: "distribution"}}
	}
	return c
}

func (v *Version) card() *modelCard {
	c := &modelCard{}
	p := &c.Parameters
	if v.Model.Task != "" && v.Model.Task != schema.Unspecified {
		p.Approach, p.Task = &approach{Type: "supervised"}, string(v.Model.Task)
	}
	if v.Schema != nil {
		p.Inputs, p.Outputs = formats(v.Schema.Signature.Inputs), formats(v.Schema.Signature.Outputs)
	}
	if metrics := v.measured(); len(metrics) > 0 {
		c.Analysis = &analysis{Metrics: metrics}
	}
	return c
}

// formats describe tensors: "name datatype [shape]", and the columns of a wide one.
func formats(specs []schema.Spec) []format {
	var all []format
	for _, s := range specs {
		text := fmt.Sprintf("%s %s %v", s.Name, s.Datatype, s.Shape)
		if len(s.Columns) > 0 {
			text += ": " + strings.Join(s.Columns, ", ")
		}
		all = append(all, format{Format: text})
	}
	return all
}

// measured are the metrics with intervals first, then those that only the trainer
// tells; counts of rows are none.
func (v *Version) measured() []performance {
	var all []performance
	seen := map[string]bool{}
	for _, m := range v.Metrics {
		p := performance{Type: m.Name, Value: number(m.Value), Slice: "holdout"}
		if m.Interval != nil {
			p.Interval = &confidence{Lower: number(m.Interval.Lo), Upper: number(m.Interval.Hi)}
		}
		all, seen[m.Name] = append(all, p), true
	}
	for _, name := range slices.Sorted(maps.Keys(v.Manifest.Metrics)) {
		if !seen[name] && name != "n" && !strings.HasPrefix(name, "n_") {
			all = append(all, performance{Type: name, Value: number(v.Manifest.Metrics[name]), Slice: "holdout, by the trainer"})
		}
	}
	return all
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// properties are what CycloneDX has no field for.
func (v *Version) properties() []property {
	m := v.Manifest
	all := []property{{ownPrefix + "digest", m.Digest}, {ownPrefix + "builder", v.builder()}, {ownPrefix + "parity_checked", strconv.FormatBool(m.Parity.Checked)}}
	if m.Parity.Checked {
		all = append(all, property{ownPrefix + "parity_max_abs_diff", number(m.Parity.MaxAbsDiff)}, property{ownPrefix + "parity_tolerance", number(m.Parity.Tolerance)})
	}
	if v.Model.Target != "" {
		all = append(all, property{ownPrefix + "target", v.Model.Target})
	}
	if v.described() {
		for _, name := range slices.Sorted(maps.Keys(v.Record.Hyperparameters)) {
			all = append(all, property{ownPrefix + "hyperparameter:" + name, text(v.Record.Hyperparameters[name])})
		}
	}
	return all
}
