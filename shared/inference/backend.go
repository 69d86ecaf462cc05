package inference

import (
	"bytes"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/validate"
)

// BackendKind is where a model's versions run.
type BackendKind string

// The kinds of backends.
const (
	Lambda    BackendKind = "lambda"    // in this process; the default
	URL       BackendKind = "url"       // a server of the Open Inference Protocol v2
	SageMaker BackendKind = "sagemaker" // a SageMaker real-time endpoint
)

// Identity is how a backend's answers must say which version computed them.
type Identity string

// The identities. Digest is what our own endpoint gives; others name a version
// at most, some nothing.
const (
	ByDigest  Identity = "digest"
	ByVersion Identity = "version"
	Unchecked Identity = "none" // the champion only is asked there: versions cannot be told apart
)

// Backend is the field "backend" of a model's settings. It is comparable: equal
// backends are one.
type Backend struct {
	Kind      BackendKind
	URL       string   // of kind url: where /v2 begins, without a slash at its end
	Endpoint  string   // of kind sagemaker: the endpoint's name
	Component string   // of kind sagemaker: the inference component, if it has some
	Model     string   // its name there; "" = as here
	Identity  Identity // what answers must say
	// Fallback: the versions are loaded here too, and run here when the backend does not answer.
	// Without, they are never loaded here, and a request that the backend does not answer is Unavailable.
	Fallback bool
	Timeout  time.Duration // of all tries of a request; 0 = Share alone
	Share    float64       // of the time that a request has left, for the backend; the rest is for the run here
	Retries  int           // tries more, where nothing can have run
	Hedge    time.Duration // after which a second request is sent; 0 = never
	Breaker  BreakerSettings
}

// BreakerSettings say when a backend that fails is left alone.
type BreakerSettings struct {
	Failures int           // of the last twice as many calls, which open it
	Window   time.Duration // calls that ended longer ago do not count
	OpenFor  time.Duration // until one call tries again
}

// Remote says whether versions run outside of this process.
func (b *Backend) Remote() bool { return b.Kind == URL || b.Kind == SageMaker }

// Name tells backends apart for people and in evidence: "lambda", the URL, or
// "sagemaker:<endpoint>[/<component>]".
func (b *Backend) Name() string {
	switch {
	case b.Kind == URL:
		return b.URL
	case b.Kind == SageMaker && b.Component != "":
		return "sagemaker:" + b.Endpoint + "/" + b.Component
	case b.Kind == SageMaker:
		return "sagemaker:" + b.Endpoint
	}
	return string(b.Kind)
}

// DefaultBackend is this process.
func DefaultBackend() Backend {
	return Backend{Kind: Lambda, Identity: ByDigest, Fallback: true, Share: 0.6, Retries: 1,
		Breaker: BreakerSettings{Failures: 5, Window: 10 * time.Second, OpenFor: 5 * time.Second}}
}

// document is a backend as a person writes it.
type document struct {
	Kind      string  `json:"kind" validate:"oneof=lambda url sagemaker"`
	URL       string  `json:"url" validate:"max=2048"`
	Endpoint  string  `json:"endpoint"`
	Component string  `json:"component"`
	Model     string  `json:"model" validate:"max=256"`
	Identity  string  `json:"identity" validate:"oneof=digest version none"`
	Fallback  bool    `json:"fallback"`
	PlainHTTP bool    `json:"plain_http"`
	Timeout   int64   `json:"timeout_ms" validate:"gte=0,lte=60000"`
	Share     float64 `json:"share" validate:"gte=0.05,lte=0.95"`
	Retries   int     `json:"retries" validate:"gte=0,lte=3"`
	Hedge     int64   `json:"hedge_ms" validate:"gte=0,lte=60000"`
	Breaker   struct {
		Failures int   `json:"failures" validate:"gte=1,lte=100"`
		Window   int64 `json:"window_ms" validate:"gte=100,lte=600000"`
		OpenFor  int64 `json:"open_for_ms" validate:"gte=100,lte=600000"`
	} `json:"breaker"`
}

// ParseBackend reads a backend as a person wrote it; empty or null is the default
// one. The error is InvalidArgument and names every fault at once.
func ParseBackend(raw []byte) (Backend, error) {
	b := DefaultBackend()
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return b, nil
	}
	d := document{Kind: string(b.Kind), Identity: string(b.Identity), Fallback: b.Fallback, Share: b.Share, Retries: b.Retries}
	d.Breaker.Failures, d.Breaker.Window, d.Breaker.OpenFor = b.Breaker.Failures, b.Breaker.Window.Milliseconds(), b.Breaker.OpenFor.Milliseconds()
	bad := validate.Object("backend", raw, "", validate.Fields{
		"kind": &d.Kind, "url": &d.URL, "endpoint": &d.Endpoint, "component": &d.Component, "model": &d.Model, "identity": &d.Identity, "fallback": &d.Fallback,
		"plain_http": &d.PlainHTTP, "timeout_ms": &d.Timeout, "share": &d.Share, "retries": &d.Retries, "hedge_ms": &d.Hedge,
		"breaker": validate.Fields{"failures": &d.Breaker.Failures, "window_ms": &d.Breaker.Window, "open_for_ms": &d.Breaker.OpenFor},
	})
	bad = append(bad, validate.Violations(validate.Struct(&d))...)
	bad = append(bad, d.target()...)
	if len(bad) > 0 {
		return Backend{}, fault.Invalid(bad...)
	}
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	return Backend{
		Kind: BackendKind(d.Kind), URL: strings.TrimRight(d.URL, "/"), Endpoint: d.Endpoint, Component: d.Component, Model: d.Model, Identity: Identity(d.Identity),
		Fallback: d.Fallback, Timeout: ms(d.Timeout), Share: d.Share, Retries: d.Retries, Hedge: ms(d.Hedge),
		Breaker: BreakerSettings{Failures: d.Breaker.Failures, Window: ms(d.Breaker.Window), OpenFor: ms(d.Breaker.OpenFor)},
	}, nil
}

// named says whether SageMaker takes text as the name of an endpoint or an inference
// component. A loop, since patterns are compiled before the first answer.
func named(text string) bool {
	if len(text) == 0 || len(text) > 63 || text[0] == '-' || text[len(text)-1] == '-' {
		return false
	}
	for i := range len(text) {
		if c := text[i]; c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// target checks what only some kinds have.
func (d *document) target() (bad []fault.Violation) {
	refuse := func(path, problem string) { bad = append(bad, fault.Violation{Path: path, Problem: problem}) }
	switch BackendKind(d.Kind) {
	case URL:
		if problem := address(d.URL, d.PlainHTTP); problem != "" {
			refuse("url", problem)
		}
	case SageMaker:
		if !named(d.Endpoint) {
			refuse("endpoint", "must be the name of a SageMaker endpoint: 1 to 63 letters, digits and hyphens")
		}
		if d.Component != "" && !named(d.Component) {
			refuse("component", "must be the name of an inference component: 1 to 63 letters, digits and hyphens")
		}
	case Lambda:
		if !d.Fallback {
			refuse("fallback", "is of no use with kind lambda; leave it out")
		}
	}
	for _, f := range []struct {
		path string
		set  bool
		of   BackendKind
	}{{"url", d.URL != "", URL}, {"plain_http", d.PlainHTTP, URL}, {"endpoint", d.Endpoint != "", SageMaker}, {"component", d.Component != "", SageMaker}} {
		if f.set && string(f.of) != d.Kind {
			refuse(f.path, fmt.Sprintf("is of kind %s", f.of))
		}
	}
	for _, r := range d.Model {
		if r <= ' ' || r > '~' || strings.ContainsRune("/?#%;=", r) {
			refuse("model", "must be printable ASCII without blanks and / ? # % ; =")
			break
		}
	}
	return bad
}

// address says what is wrong with a URL that rows are to be sent to. Plain HTTP is
// for machines of one's own network; the addresses of cloud metadata are for nobody.
func address(text string, plain bool) (problem string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return "must be like https://host[:port][/path]"
	case u.User != nil:
		return "must not hold a user or password: settings are kept for ever"
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return "must not have a query or a fragment"
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	ip, notIP := netip.ParseAddr(host)
	ip = ip.Unmap()
	if notIP == nil && (ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast()) {
		return "must not be a link-local, unspecified or multicast address"
	}
	own := host == "localhost" || notIP == nil && (ip.IsLoopback() || ip.IsPrivate())
	if u.Scheme == "http" && !own && !plain {
		return "must be https, unless its host is localhost or a private address, or plain_http is true"
	}
	return ""
}
