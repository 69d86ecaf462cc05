package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/tidegate/tidegate/shared/oip"
)

// Headers of functions/endpoint; other servers ignore and lack them.
const (
	headerDeadline = "Tidegate-Deadline-Ms"
	headerPriority = "Tidegate-Priority"
	headerVersion  = "Tidegate-Model-Version"
	headerDigest   = "Tidegate-Model-Digest"
	headerServedBy = "Tidegate-Served-By"
	headerTrace    = "X-Amzn-Trace-Id"
	headerLength   = "Inference-Header-Content-Length"
)

const (
	// dialTime bounds the making of a connection: a host that swallows packets must not use up the
	// time that a host that answers would need.
	dialTime = time.Second
	// idleTime is less than the 120 s of functions/endpoint and the 60 s of load balancers.
	idleTime = 50 * time.Second
	// maxRefusal bounds what is read of an answer that is none, in bytes.
	maxRefusal = 16 << 10
)

// errLinkLocal keeps rows, and a name that resolves to it, from cloud metadata.
var errLinkLocal = errors.New("the host has a link-local address")

// NewHTTP returns the client that backends use: connections that stay open, no proxy,
// no redirects, nothing link-local.
func NewHTTP() *http.Client {
	dialer := &net.Dialer{Timeout: dialTime, KeepAlive: 15 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		if ip, err := netip.ParseAddrPort(address); err == nil && ip.Addr().Unmap().IsLinkLocalUnicast() {
			return errLinkLocal
		}
		return nil
	}}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, MaxIdleConns: 256, MaxIdleConnsPerHost: 64, IdleConnTimeout: idleTime,
			TLSHandshakeTimeout: 2 * time.Second, DisableCompression: true, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// overHTTP is the transport to a URL.
type overHTTP struct {
	of     *Client
	target *url.URL
	err    error // of the URL
}

func newURL(c *Client) *overHTTP {
	path := "/v2/models/" + url.PathEscape(c.name)
	if c.number > 0 {
		path += "/versions/" + strconv.Itoa(c.number)
	}
	t := &overHTTP{of: c}
	t.target, t.err = url.Parse(c.backend.URL + path + "/infer")
	return t
}

// send implements transport.
func (t *overHTTP) send(ctx context.Context, r *request, m *memory) (reply, error) {
	if t.err != nil {
		return reply{}, &Failure{Reason: Denied, cause: t.err}
	}
	resp, err := t.of.owner.opt.HTTP.Do(t.request(ctx, r))
	if err != nil {
		return reply{}, broken(ctx, bare(err), connecting(err))
	}
	defer resp.Body.Close()
	got := reply{
		status: resp.StatusCode, jsonLength: resp.Header.Get(headerLength), contentType: resp.Header.Get("Content-Type"),
		version: resp.Header.Get(headerVersion), digest: resp.Header.Get(headerDigest), by: resp.Header.Get(headerServedBy),
		retryAfter: retryAfter(resp.Header.Get("Retry-After")),
	}
	if resp.StatusCode != http.StatusOK {
		// What is left of the body closes the connection, when it is more than net/http reads for us.
		m.body, _ = appendAll(m.body[:0], io.LimitReader(resp.Body, maxRefusal))
		got.body = m.body
		return got, nil
	}
	if resp.ContentLength > t.of.owner.opt.MaxAnswer {
		return reply{}, &Failure{Reason: Garbage, Status: resp.StatusCode, cause: errTooLarge}
	}
	if n := int(resp.ContentLength); n > cap(m.body) {
		m.body = make([]byte, 0, min(n, firstBody)) // an announced length is believed only so far
	}
	if m.body, err = appendAll(m.body[:0], io.LimitReader(resp.Body, t.of.owner.opt.MaxAnswer+1)); err != nil {
		return reply{}, broken(ctx, err, false)
	}
	if int64(len(m.body)) > t.of.owner.opt.MaxAnswer {
		return reply{}, &Failure{Reason: Garbage, Status: resp.StatusCode, cause: errTooLarge}
	}
	got.body = m.body
	return got, nil
}

// firstBody is the most memory that an announced length gets before a byte of it is there.
const firstBody = 8 << 20

var errTooLarge = errors.New("the answer is larger than is taken")

// request is r as net/http sends it.
func (t *overHTTP) request(ctx context.Context, r *request) *http.Request {
	target := *t.target
	req := (&http.Request{
		Method: http.MethodPost, URL: &target, Host: target.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}, "Accept": {"*/*"}, "User-Agent": {"tidegate"}},
		Body:   io.NopCloser(bytes.NewReader(r.body)), ContentLength: int64(len(r.body)),
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.body)), nil },
	}).WithContext(ctx)
	h := req.Header
	// Not sent: it lets net/http repeat the request on another connection when the one that it had kept is found
	// closed. A Lambda that was frozen finds all of them closed.
	h["X-Idempotency-Key"] = []string{}
	if r.jsonLength != oip.AllJSON {
		h["Content-Type"] = []string{"application/octet-stream"}
		h[headerLength] = []string{strconv.Itoa(r.jsonLength)}
	}
	if r.deadline > 0 {
		h[headerDeadline] = []string{milliseconds(r.deadline)}
	}
	if r.low {
		h[headerPriority] = []string{"low"}
	}
	if r.trace != "" {
		h[headerTrace] = []string{r.trace}
	}
	return req
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(max(1, d.Milliseconds()), 10) }

// bare is err without the URL that net/http puts around it.
func bare(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

// appendAll appends what r has to dst.
func appendAll(dst []byte, r io.Reader) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// retryAfter reads the header's seconds; its other form, a date, needs equal clocks and is left out.
func retryAfter(text string) time.Duration {
	s, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(s) * time.Second
}
