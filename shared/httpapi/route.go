package httpapi

import (
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// Route names, as observed.
const (
	routeServer        = "server"
	routeLive          = "live"
	routeReady         = "ready"
	routeModel         = "metadata"
	routeModelReady    = "model_ready"
	routeInfer         = "infer"
	routePredict       = "predict"
	routeModelStatus   = "status"
	routeModelMetadata = "tf_metadata"
	routeNone          = "none"
)

// route is a parsed path.
type route struct {
	name    string
	model   string
	version int           // 0 = not asked for
	slot    registry.Slot // "" = not asked for
	post    bool          // POST only; otherwise GET and HEAD
}

// parseRoute reads a raw path. HTTP API cannot match "{model}:predict", so
// everything under /v1 and /v2 arrives here; one trailing slash is forgiven.
func parseRoute(path string) (route, *fault.Error) {
	path = strings.TrimSuffix(path, "/")
	root, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch root {
	case "v2":
		return parseV2(rest)
	case "v1":
		return parseV1(rest)
	}
	return noRoute()
}

func noRoute() (route, *fault.Error) {
	return route{name: routeNone}, fault.New(fault.NotFound, "there is nothing at this path; see GET /v2, /v2/models/<model>, /v1/models/<model>")
}

// parseV2 reads the paths of the Open Inference Protocol behind /v2.
func parseV2(rest string) (route, *fault.Error) {
	switch rest {
	case "":
		return route{name: routeServer}, nil
	case "health/live":
		return route{name: routeLive}, nil
	case "health/ready":
		return route{name: routeReady}, nil
	}
	rest, ok := strings.CutPrefix(rest, "models/")
	if !ok {
		return noRoute()
	}
	r := route{name: routeModel}
	model, rest, more := strings.Cut(rest, "/")
	err := r.setModel(model)
	if more && err == nil {
		if v, ok := strings.CutPrefix(rest, "versions/"); ok {
			v, rest, more = strings.Cut(v, "/")
			err = r.setVersion(v)
		}
	}
	if err != nil {
		return r, err
	}
	switch {
	case !more:
		return r, nil
	case rest == "ready":
		r.name = routeModelReady
		return r, nil
	case rest == "infer":
		r.name, r.post = routeInfer, true
		return r, nil
	}
	return noRoute()
}

// parseV1 reads the paths of TensorFlow Serving behind /v1.
func parseV1(rest string) (route, *fault.Error) {
	rest, ok := strings.CutPrefix(rest, "models/")
	if !ok {
		return noRoute()
	}
	if i := strings.LastIndexAny(rest, "/:%"); i >= 0 && rest[i] == '%' && len(rest) >= i+3 && strings.EqualFold(rest[i:i+3], "%3a") {
		rest = rest[:i] + ":" + rest[i+3:]
	}
	r := route{name: routeModelStatus}
	rest, verb, hasVerb := cutLast(rest, ':')
	model, rest, more := strings.Cut(rest, "/")
	err := r.setModel(model)
	if more && err == nil {
		if v, ok := strings.CutPrefix(rest, "versions/"); ok {
			v, rest, more = strings.Cut(v, "/")
			err = r.setVersion(v)
		} else if v, ok := strings.CutPrefix(rest, "labels/"); ok {
			v, rest, more = strings.Cut(v, "/")
			err = r.setLabel(v)
		}
	}
	switch {
	case err != nil:
		return r, err
	case hasVerb && !more && verb == "predict":
		r.name, r.post = routePredict, true
		return r, nil
	case hasVerb && !more && (verb == "classify" || verb == "regress"):
		return r, fault.New(fault.Unimplemented, "only :predict is offered")
	case !hasVerb && !more:
		return r, nil
	case !hasVerb && rest == "metadata":
		r.name = routeModelMetadata
		return r, nil
	}
	return noRoute()
}

// cutLast cuts s around the last sep.
func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func (r *route) setModel(segment string) *fault.Error {
	name, err := ModelName(segment)
	if err != nil {
		return err
	}
	r.model = name
	return nil
}

func (r *route) setVersion(segment string) *fault.Error {
	n, err := strconv.ParseUint(segment, 10, 31)
	if err != nil || n == 0 {
		return fault.New(fault.NotFound, "model %q has no such version: versions are numbers from 1", r.model)
	}
	r.version = int(n)
	return nil
}

func (r *route) setLabel(segment string) *fault.Error {
	switch s := registry.Slot(segment); s {
	case registry.Champion, registry.Challenger, registry.Shadow, registry.Previous:
		r.slot = s
		return nil
	}
	return fault.New(fault.NotFound, "model %q has no such label: labels are champion, challenger, shadow, previous", r.model)
}
