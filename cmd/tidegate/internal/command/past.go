package command

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// pastWindows reads the profiles of a model: those of its captures by window, and
// each batch as a window of its own, all on the baseline of the champion.
func (a *app) pastWindows(ctx context.Context, model string) (*profile.Baseline, []drift.PastWindow, drift.Policy, error) {
	s, reg, err := a.open(ctx)
	if err != nil {
		return nil, nil, drift.Policy{}, err
	}
	state, _, err := reg.State(ctx, model)
	if err != nil {
		return nil, nil, drift.Policy{}, err
	}
	if state.Slots.Champion == nil {
		return nil, nil, drift.Policy{}, fault.New(fault.FailedPrecondition, "model %q has no champion: promote a version first", model)
	}
	policy := drift.DefaultPolicy()
	if state.SettingsDigest != "" {
		settings, err := reg.Settings(ctx, model, state.SettingsDigest)
		if err != nil {
			return nil, nil, drift.Policy{}, err
		}
		if policy, err = drift.ParsePolicy(settings.Drift); err != nil {
			return nil, nil, drift.Policy{}, err
		}
	}
	b, digest, err := profile.LoadBaseline(ctx, reg, model, state.Slots.Champion.Version)
	if err != nil {
		return nil, nil, drift.Policy{}, err
	}
	windows, err := a.collect(ctx, s.Data, model, &past{baseline: b, digest: digest, version: state.Slots.Champion.Version,
		length: policy.Window(), windows: map[string]*profile.Window{}})
	return b, windows, policy, err
}

// past collects profiles into windows.
type past struct {
	baseline *profile.Baseline
	digest   string
	version  int
	length   time.Duration
	windows  map[string]*profile.Window
	refused  int // profiles that could not be added
	first    string
}

func (a *app) collect(ctx context.Context, store blob.Store, model string, p *past) ([]drift.PastWindow, error) {
	bar := a.progress(-1, "reading profiles", false)
	defer bar.Finish()
	prefix := "profiles/" + model + "/"
	for info, err := range store.List(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		// A batch has its plan and its failures beside its profiles.
		if name := path.Base(info.Key); name == "plan.json" || name == "items.json" || !strings.HasSuffix(name, ".json") {
			continue
		}
		obj, err := store.Get(ctx, info.Key)
		if fault.Is(err, fault.NotFound) {
			continue // expired between the listing and now
		}
		if err != nil {
			return nil, err
		}
		bar.Add(1)
		d, err := profile.ParseDocument(obj.Body)
		if err == nil {
			err = p.add(d, strings.TrimPrefix(info.Key, prefix))
		}
		if err != nil {
			if p.refused++; p.first == "" {
				p.first = info.Key + ": " + plainly(err)
			}
		}
	}
	if p.refused > 0 {
		fmt.Fprintf(a.Stderr, "note: %d profiles were left out; the first: %s\n", p.refused, p.first)
	}
	var out []drift.PastWindow
	for name, w := range p.windows {
		out = append(out, drift.PastWindow{Name: name, Strata: w.Strata()})
	}
	return out, nil
}

// add adds d to the windows that its groups belong to; key is without the model's prefix.
func (p *past) add(d *profile.Document, key string) error {
	if job, ok := strings.CutPrefix(key, "batches/"); ok {
		job, _, _ = strings.Cut(job, "/")
		return p.window("batch "+job, profile.Selection{Version: p.version}).Add(d)
	}
	starts := map[time.Time]bool{}
	for i := range d.Groups {
		if g := &d.Groups[i]; g.Version == p.version && g.Role == capture.Served {
			starts[g.Interval.Truncate(p.length)] = true
		}
	}
	for start := range starts {
		sel := profile.Selection{Version: p.version, From: start, To: start.Add(p.length), Roles: []capture.Role{capture.Served}}
		if err := p.window(start.UTC().Format("2006-01-02T15:04Z"), sel).Add(d); err != nil {
			return err
		}
	}
	return nil
}

func (p *past) window(name string, sel profile.Selection) *profile.Window {
	w, ok := p.windows[name]
	if !ok {
		w = profile.NewWindow(p.baseline, p.digest, sel)
		p.windows[name] = w
	}
	return w
}
