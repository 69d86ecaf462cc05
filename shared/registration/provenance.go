package registration

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
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
	if err := r.pinned(ctx, m, &v.Record); err != nil {
		return err
	}
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

// pinned adds the dataset that training.json names, and the sources of its document,
// if the run read that very dataset: by its digest, since both files are of the upload.
func (r *Registrar) pinned(ctx context.Context, m *registry.Manifest, record *provenance.Record) error {
	var asked struct {
		Dataset json.RawMessage `json:"dataset"`
	}
	if record.Dataset != nil || json.Unmarshal(m.Training, &asked) != nil {
		return nil
	}
	d := provenance.ParseDataset(asked.Dataset)
	if d == nil || d.Digest == "" || d.Digest != record.Inputs["data"].SHA256 || registry.CheckName(d.Name) != nil || registry.CheckVersion(d.Number) != nil {
		return nil
	}
	body, err := r.Registry.ReadRecord(ctx, registry.DatasetKey(d.Name, d.Number))
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if stored := provenance.ParseDataset(body); stored != nil && stored.Digest == d.Digest {
		d = stored
	}
	d.URI = "s3://" + r.Bucket + "/" + registry.BlobKey(d.Digest)
	record.Dataset = d
	return nil
}
