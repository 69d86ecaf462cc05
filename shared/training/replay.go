package training

import (
	"context"
	"fmt"
	"maps"

	"github.com/tidegate/tidegate/shared/dataset"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// Recipe is what it takes to train a version once more.
type Recipe struct {
	Model   string `json:"model"`
	Version int    `json:"version"`
	Record  Record `json:"record"`
	// Missing says what is no longer there, for people; nothing can be trained then.
	Missing []string `json:"missing"`
	// Sources are the objects that the rows came from. The rows themselves are the channel's blob.
	Sources []dataset.Source `json:"sources"`
	// Changed says in which way the training will not be the old one: other code is deployed.
	Changed []string `json:"changed"`
	task    schema.Task
}

// FindRecipe looks for all that a version was made of. code is what the train function
// says of itself now ({"describe": true}); "" where nobody asked. NotFound: there is no
// such version; FailedPrecondition: it was not made by a retraining, so nothing is pinned.
func FindRecipe(ctx context.Context, reg *registry.Registry, model string, version int, code string) (*Recipe, error) {
	m, err := reg.Manifest(ctx, model, version)
	if err != nil {
		return nil, err
	}
	record, ok, err := ParseRecord(m.Training)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.New(fault.FailedPrecondition, "version %d of %q has no training record: it was not made by a retraining, so nothing says what it learned from", version, model)
	}
	r := &Recipe{Model: model, Version: version, Record: record, Missing: []string{}, Changed: []string{}}
	missing := func(format string, args ...any) { r.Missing = append(r.Missing, fmt.Sprintf(format, args...)) }
	d, err := dataset.Read(ctx, reg, record.Dataset.Name, record.Dataset.Number)
	switch {
	case err == nil:
		r.Sources = d.Sources
	case fault.Is(err, fault.NotFound):
		missing("the document of dataset %s number %d", record.Dataset.Name, record.Dataset.Number)
	default:
		return nil, err
	}
	for _, b := range [][2]string{{"the training rows", record.Dataset.Digest}, {"the training schema", record.SchemaDigest}} {
		there, err := reg.HasBlob(ctx, b[1])
		if err != nil {
			return nil, err
		}
		if !there {
			missing("%s (%s)", b[0], registry.BlobKey(b[1]))
		}
	}
	for _, name := range []string{holdoutFile, predictionsFile} {
		if _, ok := m.File(name); !ok {
			missing("%s of the version, which a repeated training is compared with", name)
		}
	}
	identity, err := reg.Model(ctx, model)
	if err != nil {
		return nil, err
	}
	r.task = identity.Task
	if code != "" && record.Trainer == Lambda && code != record.Code {
		r.Changed = append(r.Changed, fmt.Sprintf("other training code is deployed: %s -> %s", short(record.Code), short(code)))
	}
	return r, nil
}

// Payload is what the train function is asked; outputURI is a folder under uploads/ of
// the registry bucket. FailedPrecondition when something is missing, or an image of
// the user's trained it, which is started as its own job.
func (r *Recipe) Payload(registryBucket, outputURI string) (*LambdaPayload, error) {
	if len(r.Missing) > 0 {
		return nil, fault.New(fault.FailedPrecondition, "version %d cannot be trained again: %s is no longer there", r.Version, r.Missing[0])
	}
	if r.Record.Trainer != Lambda {
		return nil, fault.New(fault.FailedPrecondition, "version %d was trained by a SageMaker job of the image %s; start that image on the rows and schema of its record", r.Version, r.Record.Image)
	}
	uri := func(digest string) string { return "s3://" + registryBucket + "/" + registry.BlobKey(digest) }
	hyper := maps.Clone(r.Record.Hyperparameters)
	if hyper == nil {
		hyper = map[string]string{}
	}
	p := &LambdaPayload{Model: r.Model, SchemaURI: uri(r.Record.SchemaDigest), DataURI: uri(r.Record.Dataset.Digest), OutputURI: outputURI, Hyperparameters: hyper}
	if r.task != schema.Unspecified {
		p.Task = r.task
	}
	return p, nil
}
