package profile

import (
	"context"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// BaselineFile is the name of a version's baseline among its files.
const BaselineFile = "baseline.json"

// LoadBaseline reads the baseline of a version and the sha256 that its manifest
// names. Errors: NotFound, there is no such version or it has no baseline;
// Internal, the file is damaged; Unavailable.
func LoadBaseline(ctx context.Context, reg *registry.Registry, model string, version int) (*Baseline, string, error) {
	m, err := reg.Manifest(ctx, model, version)
	if err != nil {
		return nil, "", err
	}
	f, ok := m.File(BaselineFile)
	if !ok {
		return nil, "", fault.New(fault.NotFound, "version %d of model %q has no baseline: it was registered without training or holdout rows; register it again with training.csv.gz", version, model)
	}
	raw, err := reg.ReadFile(ctx, &m, BaselineFile)
	if err != nil {
		return nil, "", err
	}
	b, err := ParseBaseline(raw)
	if err != nil {
		return nil, "", fault.Wrap(err, fault.Internal, "the baseline of version %d of model %q is damaged", version, model)
	}
	return b, registry.Hex(f.SHA256), nil
}
