package scoring

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"

	"github.com/tidegate/tidegate/shared/fault"
)

const (
	headBytes = 256 << 10
	tailBytes = 1 << 10
)

// stored is the answer of an item whose predictions are there already. It reads
// both ends of them. NotFound: there are none. AlreadyExists: they are of another input.
func (s *Scorer) stored(ctx context.Context, key string, in *In) (Out, error) {
	begin, size, err := s.part(ctx, key, 0, headBytes)
	if err != nil {
		return Out{}, err
	}
	var h head
	line, _, whole := bytes.Cut(begin, []byte("\n"))
	if !whole || json.Unmarshal(line, &h) != nil || h.Kind != "head" || h.V < 1 || h.V > Version {
		return Out{}, fault.New(fault.Internal, "%s is not what score wrote, or of a newer release", key)
	}
	if !h.of(in) {
		return Out{}, fault.New(fault.AlreadyExists, "%s holds the predictions of another version or of other rows; give each item of a run a name of its own", key)
	}
	end, _, err := s.part(ctx, key, max(0, size-tailBytes), tailBytes)
	if err != nil {
		return Out{}, err
	}
	var t tail
	end = bytes.TrimSuffix(end, []byte("\n"))
	if json.Unmarshal(end[bytes.LastIndexByte(end, '\n')+1:], &t) != nil || t.Kind != "end" {
		return Out{}, fault.New(fault.Internal, "%s has no end", key)
	}
	return Out{RowsIn: t.Rows, RowsOut: t.Rows, URI: s.uri(key), Digest: t.Digest}, nil
}

// of says whether the predictions are those that an item asks for. The object's
// version counts only if the item names one.
func (h *head) of(in *In) bool {
	a, b := h.Source, in.Source
	if b.VersionID == "" {
		a.VersionID = ""
	}
	return h.Model == in.Model && h.Version == in.Version && h.Run == in.Run && h.Item == in.Item && h.IDColumn == in.IDColumn &&
		slices.Equal(h.Keep, in.Keep) && a.Bucket == b.Bucket && a.Key == b.Key && a.VersionID == b.VersionID && slices.Equal(a.RowGroups, b.RowGroups)
}

// part reads a range of an object.
func (s *Scorer) part(ctx context.Context, key string, offset, length int64) (body []byte, size int64, err error) {
	r, info, err := s.Data.Open(ctx, key, offset, length)
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	if body, err = io.ReadAll(io.LimitReader(r, length)); err != nil {
		return nil, 0, fault.Wrap(err, fault.Unavailable, "%s could not be read; try again", key)
	}
	return body, info.Size, nil
}
