package registry

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

// Lookup finds the version of model that has the given content digest. ok is
// false when no number was ever given to it. The version may not be READY: a
// registration that ended early is continued under its number.
func (r *Registry) Lookup(ctx context.Context, model, digest string) (version int, ok bool, err error) {
	if err := cmp.Or(CheckName(model), CheckDigest(digest)); err != nil {
		return 0, false, err
	}
	key := DigestKey(model, digest)
	obj, err := r.store.Get(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("registry: look up a digest of %s: %w", model, err)
	}
	c, err := parseClaim(key, obj.Body)
	return c.Version, err == nil, err
}

// Claim gives the content digest a version number of model: the one it has, or a
// new one. Of several callers with the same digest all get the same number;
// callers with different digests never do.
func (r *Registry) Claim(ctx context.Context, model, digest, actor string) (version int, err error) {
	if err := cmp.Or(CheckName(model), CheckDigest(digest)); err != nil {
		return 0, err
	}
	known, last := false, 0
	err = r.persist(ctx, func() (err error) {
		if version, known, err = r.Lookup(ctx, model, digest); err != nil || known {
			return err
		}
		last, err = r.lastVersion(ctx, model)
		return err
	})
	if err != nil || known {
		return version, err
	}
	claim := Claim{V: ClaimVersion, Version: last, Digest: "sha256:" + Hex(digest), ClaimedAt: r.now(), ClaimedBy: actor, ID: r.opt.NewID()}
	for won := false; !won; {
		if claim.Version++; claim.Version > MaxVersion {
			return 0, fault.New(fault.ResourceExhausted, "model %q has used up its version numbers", model)
		}
		body, err := encode(claim)
		if err != nil {
			return 0, err
		}
		if _, won, err = r.putOnce(ctx, ClaimKey(model, claim.Version), body); err != nil {
			return 0, fmt.Errorf("registry: claim %s@%d: %w", model, claim.Version, err)
		}
	}
	return r.adopt(ctx, model, claim)
}

// adopt ties a claimed number to its digest, or finds the number that another
// caller tied to it first; then the claimed one stays unused.
func (r *Registry) adopt(ctx context.Context, model string, claim Claim) (int, error) {
	claim.ID = ""
	body, err := encode(claim)
	if err != nil {
		return 0, err
	}
	key := DigestKey(model, claim.Digest)
	if body, _, err = r.putOnce(ctx, key, body); err != nil {
		return 0, fmt.Errorf("registry: adopt %s@%d: %w", model, claim.Version, err)
	}
	stored, err := parseClaim(key, body)
	return stored.Version, err
}

func parseClaim(key string, body []byte) (Claim, error) {
	var c Claim
	if err := decode(key, body, &c); err != nil {
		return Claim{}, err
	}
	if c.V > ClaimVersion {
		return Claim{}, tooNew(key, c.V, ClaimVersion)
	}
	if CheckVersion(c.Version) != nil || CheckDigest(c.Digest) != nil {
		return Claim{}, damaged(key, fmt.Errorf("version or digest is wrong"))
	}
	return c, nil
}

func (r *Registry) lastVersion(ctx context.Context, model string) (int, error) {
	last := 0
	for entry, err := range r.Versions(ctx, model, 0) {
		if err != nil {
			return 0, err
		}
		last = entry.Version
	}
	return last, nil
}

// VersionEntry is one number of a model as the listing shows it.
type VersionEntry struct {
	Version int
	Ready   bool      // the manifest exists
	At      time.Time // of the manifest, or of the claim
}

// Versions yields the numbers of model above after, READY or not, in order.
func (r *Registry) Versions(ctx context.Context, model string, after int) iter.Seq2[VersionEntry, error] {
	root := "models/" + model + "/versions/"
	return func(yield func(VersionEntry, error) bool) {
		if err := CheckName(model); err != nil {
			yield(VersionEntry{}, err)
			return
		}
		var entry VersionEntry
		for info, err := range r.store.List(ctx, root, VersionPrefix(model, after)+"~") { // "~" sorts after every file
			if err != nil {
				yield(VersionEntry{}, fmt.Errorf("registry: list versions of %s: %w", model, err))
				return
			}
			number, file, _ := strings.Cut(strings.TrimPrefix(info.Key, root), "/")
			v, err := strconv.Atoi(number)
			if err != nil || VersionFileKey(model, v, file) != info.Key {
				continue // not ours
			}
			if v != entry.Version {
				if entry.Version > 0 && !yield(entry, nil) {
					return
				}
				entry = VersionEntry{Version: v, At: info.Modified}
			}
			if info.Key == ManifestKey(model, v) {
				entry.Ready, entry.At = true, info.Modified
			}
		}
		if entry.Version > 0 {
			yield(entry, nil)
		}
	}
}
