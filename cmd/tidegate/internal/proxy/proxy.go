// Package proxy is a local port that makes any HTTP client acceptable to a stack
// with AWS_IAM authorization: it signs each request with the caller's credentials
// and passes it on.
//
// It is not a public server. It listens on the loopback interface and answers
// requests that name it so, because whoever reaches it acts with the owner's
// credentials: a request with another Host (DNS rebinding) or with an Origin (a web
// page) is refused, and only the prediction routes are passed on.
//
// Bodies are held in memory once, since a signature covers the whole body; API
// Gateway takes 10 MB at most. Answers are streamed.
//
//	h, err := proxy.New(stack.ApiEndpoint, signer.Sign)
//	http.Serve(listener, h)
package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/shared/fault"
)

// maxBody is API Gateway's limit for a request.
const maxBody = 10 << 20

// New returns the handler for the API at target. sign is called with the whole
// body once all other headers are final.
func New(target string, sign endpoint.Authorizer) (http.Handler, error) {
	u, err := url.Parse(strings.TrimRight(target, "/"))
	if err != nil || u.Scheme == "" || u.Host == "" {
		return nil, fault.New(fault.InvalidArgument, "the endpoint %q is not a URL such as https://host", target)
	}
	forward := &httputil.ReverseProxy{
		// ReverseProxy removes the hop-by-hop headers of RFC 9110 §7.6.1 in both directions.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			// The client's own authorization was for this port, not for AWS.
			r.Out.Header.Del("Authorization")
		},
		FlushInterval: -1,
		Transport:     signing{sign: sign, next: http.DefaultTransport},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			refuse(w, proxyFault(err))
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := admit(r); err != nil {
			refuse(w, err)
			return
		}
		forward.ServeHTTP(w, r)
	}), nil
}

// admit refuses what a local client of the prediction API never sends.
func admit(r *http.Request) *fault.Error {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fault.New(fault.PermissionDenied, "this proxy answers local clients only; address it as 127.0.0.1 or localhost")
	}
	if r.Header.Get("Origin") != "" {
		return fault.New(fault.PermissionDenied, "this proxy does not answer web pages")
	}
	if p := r.URL.Path; p != "/v2" && !strings.HasPrefix(p, "/v2/") && !strings.HasPrefix(p, "/v1/") {
		return fault.New(fault.NotFound, "this proxy serves /v1 and /v2; for example GET /v2/health/ready")
	}
	return nil
}

// signing signs each request just before it leaves, when its headers are final.
type signing struct {
	sign endpoint.Authorizer
	next http.RoundTripper
}

func (s signing) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		body, err = io.ReadAll(io.LimitReader(req.Body, maxBody+1))
		req.Body.Close()
		if err != nil {
			return nil, fault.Wrap(err, fault.InvalidArgument, "the request's body ended early")
		}
	}
	if len(body) > maxBody {
		return nil, fault.New(fault.PayloadTooLarge, "the body is over API Gateway's %d bytes; send fewer rows at once", maxBody)
	}
	out := req.Clone(req.Context())
	out.Host = "" // the target's, from the URL
	out.ContentLength = int64(len(body))
	out.TransferEncoding = nil // with a known length there is no chunking, which API Gateway does not take
	out.Body = http.NoBody
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
	if err := s.sign(out, body); err != nil {
		return nil, err
	}
	return s.next.RoundTrip(out)
}

func proxyFault(err error) *fault.Error {
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	return fault.New(fault.Unavailable, "the API cannot be reached; check the endpoint and the network")
}

func refuse(w http.ResponseWriter, e *fault.Error) {
	body, err := json.Marshal(map[string]string{"error": e.Message})
	if err != nil { // a map of strings always encodes
		body = []byte(`{"error":"internal error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Kind.HTTPStatus())
	fmt.Fprintln(w, string(body))
}
