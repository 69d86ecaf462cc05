package quality

import (
	"context"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// ReferenceFile is the name of a version's reference among its files.
const ReferenceFile = "reference.json"

// LoadReference reads the reference of a version and the sha256 that its manifest
// names. Errors: NotFound, there is no such version or it has no reference;
// Internal, the file is damaged; Unavailable.
func LoadReference(ctx context.Context, reg *registry.Registry, model string, version int) (*Reference, string, error) {
	m, err := reg.Manifest(ctx, model, version)
	if err != nil {
		return nil, "", err
	}
	f, ok := m.File(ReferenceFile)
	if !ok {
		return nil, "", fault.New(fault.NotFound, "version %d of model %q has no reference: it was registered without labelled holdout rows, or before references were kept; register a version with holdout.csv and predictions.csv", version, model)
	}
	if f.Size > MaxReference {
		return nil, "", fault.New(fault.Internal, "the reference of version %d of model %q has %d bytes, more than the %d that one can have", version, model, f.Size, MaxReference)
	}
	raw, err := reg.ReadFile(ctx, &m, ReferenceFile)
	if err != nil {
		return nil, "", err
	}
	r, err := ParseReference(raw)
	if err != nil {
		return nil, "", fault.Wrap(err, fault.Internal, "the reference of version %d of model %q is damaged", version, model)
	}
	return r, registry.Hex(f.SHA256), nil
}
