package remote_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/inference/remote"
	"github.com/tidegate/tidegate/shared/serving/rest"
	"github.com/tidegate/tidegate/shared/serving/sagemaker"
	"github.com/tidegate/tidegate/shared/tensor"
)

// container is a server that answers as functions/endpoint does, by the same
// handlers, with models of inferencetest. A test may put something in front.
type container struct {
	*httptest.Server
	world *inferencetest.World
	front atomic.Pointer[func(w http.ResponseWriter, r *http.Request, through http.Handler)]
	asked atomic.Int64
	last  atomic.Pointer[http.Request] // header and path only
}

// serveContainer serves versions 1 and 2 of "m": they answer x + 6 and x + 7.
func serveContainer(t testing.TB) *container {
	t.Helper()
	c := &container{world: inferencetest.New(t)}
	one := c.world.Publish("m", 1, []byte("model."), inferencetest.Schema())
	two := c.world.Publish("m", 2, []byte("model.."), inferencetest.Schema())
	c.world.Serve("m", one)
	c.world.Challenge("m", two, 5000)
	fleet := inference.NewFleet(inference.Options{Registry: c.world.Registry, Runtime: new(inferencetest.Runtime), ServedBy: "endpoint"})
	t.Cleanup(fleet.Close)
	api := httpapi.New(fleet, nil, nil, httpapi.Options{MaxAnswer: 32 << 20})
	handler := rest.New(sagemaker.New(api, sagemaker.Options{}), rest.Options{MaxBody: 32 << 20})
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.asked.Add(1)
		c.last.Store(&http.Request{Header: r.Header.Clone(), URL: r.URL})
		if front := c.front.Load(); front != nil {
			(*front)(w, r, handler)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(c.Server.Close)
	return c
}

// behave puts front in front of the container; nil takes it away.
func (c *container) behave(front func(w http.ResponseWriter, r *http.Request, through http.Handler)) {
	if front == nil {
		c.front.Store(nil)
		return
	}
	c.front.Store(&front)
}

// bound is a version of m as a state names it.
func (c *container) bound(t testing.TB, version int) inference.Bound {
	t.Helper()
	manifest, err := c.world.Registry.Manifest(context.Background(), "m", version)
	if err != nil {
		t.Fatal(err)
	}
	s := inferencetest.Schema()
	return inference.Bound{Model: "m", Version: version, Digest: manifest.Digest, Signature: &s.Signature}
}

// backend is the container's URL, with changes.
func (c *container) backend(change func(*inference.Backend)) inference.Backend {
	b := inference.DefaultBackend()
	b.Kind, b.URL = inference.URL, c.URL
	if change != nil {
		change(&b)
	}
	return b
}

// rows are inputs of m.
func rows(x ...float32) []tensor.Tensor {
	return []tensor.Tensor{{Name: "x", Datatype: tensor.FP32, Shape: []int64{int64(len(x)), 1}, FP32s: x}}
}

// here runs version 1 in this process; it counts.
type here struct{ runs atomic.Int64 }

func (h *here) run(_ context.Context, in []tensor.Tensor, _ []string) ([]tensor.Tensor, func(), error) {
	h.runs.Add(1)
	out := tensor.Tensor{Name: "y", Datatype: tensor.FP32, Shape: in[0].Shape}
	for _, x := range in[0].FP32s {
		out.FP32s = append(out.FP32s, x+6)
	}
	return []tensor.Tensor{out}, func() {}, nil
}

// within is a context of a request that has d left.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func reasonOf(err error) remote.Reason {
	var f *remote.Failure
	if errors.As(err, &f) {
		return f.Reason
	}
	return ""
}
