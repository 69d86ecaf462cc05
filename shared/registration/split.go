package registration

import (
	"context"
	"fmt"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// splits is what a baseline is to be split by, and whether the caller said so.
type splits struct {
	profile.By
	asked bool
}

// splits are what the caller asks for, else what the model's drift policy in force
// names: windows of the new version are to be compared as those of the last one.
func (r *Registrar) splits(ctx context.Context, in In) (splits, error) {
	if len(in.Segments) > 0 || in.Cluster != "" {
		return splits{profile.By{Segments: in.Segments, Values: in.MaxSegments, Cluster: in.Cluster}, true}, nil
	}
	state, _, err := r.Registry.State(ctx, in.Model)
	if fault.Is(err, fault.NotFound) || err == nil && state.SettingsDigest == "" {
		return splits{}, nil
	}
	if err != nil {
		return splits{}, err
	}
	settings, err := r.Registry.Settings(ctx, in.Model, state.SettingsDigest)
	if err != nil {
		return splits{}, err
	}
	policy, err := drift.ParsePolicy(settings.Drift)
	if err != nil {
		return splits{}, fault.Wrap(err, fault.FailedPrecondition, "the drift policy in the settings of %q is not valid: %s", in.Model, fault.Public(err).Message)
	}
	return splits{By: policy.By()}, nil
}

// split splits the baseline and counts the rows once more for it. What the policy
// names and these columns do not give is a warning; what the caller named, an error.
func split(ctx context.Context, out *profile.Baseline, src profile.ReaderAtSize, name string, by splits) (warnings []string, err error) {
	if err := out.SplitBy(by.By); fault.Is(err, fault.InvalidArgument) && !by.asked {
		return []string{fmt.Sprintf("the drift policy's segments and cluster are not in the baseline: %s", fault.Public(err).Message)}, nil
	} else if err != nil || out.Segments == nil && out.Cluster == nil {
		return nil, err
	}
	tally := out.Splitter()
	if _, err := profile.CountSource(ctx, src, tally, nil); err != nil {
		return nil, unreadable(err, name)
	}
	out.Keep(tally)
	return nil, nil
}
