package serving

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
)

// Gate is a predictor that is ready only once the server has loaded its models,
// and until it drains. Requests pass at any time: a model that is loaded answers
// while another is still on its way.
type Gate struct {
	httpapi.Predictor
	state atomic.Int32
}

const (
	loading = iota
	ready
	draining
)

// NewGate returns a gate that is not ready yet.
func NewGate(p httpapi.Predictor) *Gate { return &Gate{Predictor: p} }

// Ready implements httpapi.Predictor. Unavailable: not yet, or not any more.
func (g *Gate) Ready(ctx context.Context) error {
	switch g.state.Load() {
	case loading:
		return fault.New(fault.Unavailable, "the models are being loaded").After(time.Second)
	case draining:
		return fault.New(fault.Unavailable, "the server is shutting down").After(time.Second)
	}
	return g.Predictor.Ready(ctx)
}

func (g *Gate) open() { g.state.CompareAndSwap(loading, ready) }

func (g *Gate) close() { g.state.Store(draining) }
