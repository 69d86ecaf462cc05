package rest

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
)

// write sends an answer. An error of the connection has nobody to be told to.
func write(w http.ResponseWriter, r *http.Request, resp *httpapi.Response) {
	header := w.Header()
	values := make([]string, 0, len(resp.Header)+1) // one piece of memory for all fields
	set := func(name, value string) {
		values = append(values, value)
		header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	for name, value := range resp.Header {
		set(name, value)
	}
	if r.Method != http.MethodHead {
		set("Content-Length", strconv.Itoa(len(resp.Body)))
	}
	w.WriteHeader(resp.Status)
	_, _ = w.Write(resp.Body)
}

// refuse answers what never reaches the handlers. The rest of a body that was not
// read makes the connection useless: it is closed.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, x *exchange, err error) {
	public := fault.Public(err)
	body := httpapi.AppendError(nil, public, x.req.ID)
	w.Header()["Content-Type"] = []string{"application/json"}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.Header()["Connection"] = []string{"close"}
	if public.RetryAfter > 0 {
		w.Header()["Retry-After"] = []string{strconv.Itoa(int((public.RetryAfter + time.Second - 1) / time.Second))}
	}
	w.WriteHeader(public.Kind.HTTPStatus())
	_, _ = w.Write(body)
	if h.opt.Observer != nil {
		h.opt.Observer.Observe(context.WithoutCancel(r.Context()), &httpapi.Observation{
			RequestID: x.req.ID, Route: "refused", Status: public.Kind.HTTPStatus(), ErrorKind: string(public.Kind), Cause: err,
			BytesIn: len(x.body), BytesOut: len(body), Start: x.start, Duration: time.Since(x.start),
		})
	}
}

// rest keeps the memory of a request for later ones.
func (h *Handler) rest(x *exchange) {
	h.held.Add(-x.held)
	x.held = 0
	clear(x.req.Header)
	x.req = httpapi.Request{Header: x.req.Header}
	if cap(x.body) > keep {
		x.body = nil
	}
	h.memory.Put(x)
}
