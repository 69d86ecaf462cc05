package registration

import (
	"bytes"
	"context"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/provenance"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// origin is what putProvenance needs beside the manifest.
type origin struct {
	model     registry.Model
	schema    *schema.Schema
	source    string
	reference []byte // as stored, nil for none
}

// putProvenance stores the bill of materials and then the statement, which is about
// all files before it, and lists both in m. It comes last before the manifest.
//
// They tell of this registration: its time, its number, the files that it lists. Those
// that one which ended early, or another caller's, left under the same names are not
// ours to describe the version by. Ours lie among the blobs then, where m finds them.
func (r *Registrar) putProvenance(ctx context.Context, o origin, m *registry.Manifest) error {
	v := provenance.Version{Manifest: m, Model: o.model, Schema: o.schema, Source: o.source, Record: provenance.ParseRecord(m.Run)}
	if o.reference != nil {
		reference, err := quality.ParseReference(o.reference)
		if err != nil {
			return err
		}
		for _, metric := range reference.Metrics {
			if metric.Value != nil {
				v.Metrics = append(v.Metrics, provenance.Metric{Name: metric.Name, Value: *metric.Value, Interval: metric.Interval})
			}
		}
	}
	for _, doc := range []struct {
		name string
		make func() ([]byte, error)
	}{{provenance.BOMFile, v.BOM}, {provenance.StatementFile, v.Statement}} {
		body, err := doc.make()
		if err != nil {
			return err
		}
		stored, err := r.Registry.PutVersionFile(ctx, m.Model, m.Version, doc.name, body)
		if err != nil {
			return err
		}
		file := fileOf(doc.name, body, !bytes.Equal(stored, body))
		if file.Blob {
			if err := r.Registry.PutBlob(ctx, file.SHA256, bytes.NewReader(body), file.Size); err != nil {
				return err
			}
		}
		m.Files = append(m.Files, file)
	}
	return nil
}
