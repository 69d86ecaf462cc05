package remote

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Client asks a backend for one version. It is safe for concurrent use.
type Client struct {
	owner     *Backends
	backend   inference.Backend
	bound     inference.Bound
	name      string // of the model, there
	number    int    // that is asked for; 0 = none
	transport transport
}

// Call is what a client is asked to run.
type Call struct {
	Inputs []tensor.Tensor // in the signature's order, as its contract accepts them
	Want   []string        // outputs; nil = all of the signature
	Low    bool            // gives way to other calls
	// Patient tries wait as long as the backend asks, if the deadline lets them; others
	// only for a moment, since there is another way to an answer.
	Patient bool
}

// Answer is what a backend has computed.
type Answer struct {
	Outputs  []tensor.Tensor // as wanted, in that order
	Version  string          // as the backend calls it, "" if it does not
	Digest   string          // "" if it names none
	ServedBy string          // "endpoint", or "endpoint-" and what it runs on
	Release  func()          // gives the outputs' memory back; they must not be read afterwards
}

// transport carries one request to a backend.
type transport interface {
	// send returns the backend's answer, of whatever status. Its error is a *Failure. The request's
	// body is not touched after the return unless that is an error.
	send(ctx context.Context, r *request, m *memory) (reply, error)
}

// request is a call on the wire.
type request struct {
	body       []byte
	jsonLength int // oip.AllJSON: all of it
	deadline   time.Duration
	low        bool
	trace      string
}

// reply is an answer on the wire.
type reply struct {
	status              int
	jsonLength          string // of the header; "" = see contentType
	contentType         string
	version, digest, by string // as the headers or attributes name them
	retryAfter          time.Duration
	body                []byte
}

// memory is that of one answer, kept for later ones.
type memory struct {
	body    []byte
	decoder oip.Decoder
	outputs []tensor.Tensor
}

// keptBody bounds the memory that is kept for a body, in bytes.
const keptBody = 4 << 20

func (b *Backends) rest(m *memory) {
	clear(m.outputs[:cap(m.outputs)])
	if cap(m.body) > keptBody {
		m.body = nil
	}
	b.memory.Put(m)
}

// Infer runs the version on its backend. ctx bounds all tries together. Errors:
// InvalidArgument, the backend refuses the rows as wrong; else a *Failure.
func (c *Client) Infer(ctx context.Context, call Call) (Answer, error) {
	r := request{low: call.Low, trace: c.owner.opt.Trace(ctx)}
	size := 256
	for i := range call.Inputs {
		size += 160 + oip.RawSize(&call.Inputs[i])
	}
	// The body is not kept for later requests: net/http may still read it after a failed one.
	r.body, r.jsonLength = oip.AppendCall(make([]byte, 0, size), &oip.Call{Inputs: call.Inputs, Want: call.Want})
	return c.tries(ctx, &call, &r)
}

// once is one try.
func (c *Client) once(ctx context.Context, call *Call, r *request) (a Answer, err error) {
	m := c.owner.memory.Get().(*memory)
	defer func() {
		if p := recover(); p != nil { // a decoder that fails on an answer is no reason to fail the request
			err = &Failure{Reason: Garbage, cause: fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
		} else if err != nil {
			c.owner.rest(m)
		}
	}()
	attempt := *r
	if deadline, ok := ctx.Deadline(); ok {
		if attempt.deadline = time.Until(deadline); attempt.deadline < time.Millisecond {
			return a, &Failure{Reason: TooLate, cause: context.DeadlineExceeded}
		}
	}
	reply, err := c.transport.send(ctx, &attempt, m)
	if err != nil {
		return a, err
	}
	if refuses(reply.status) {
		return a, refusal(reply.status, c.violations(&reply))
	}
	if reply.status != 200 {
		return a, failed(reply.status, reply.retryAfter, nil)
	}
	return c.read(call, &reply, m)
}

// violations are those of our own endpoint's refusal.
func (c *Client) violations(r *reply) []fault.Violation {
	if r.by == "" && r.digest == "" {
		return nil
	}
	return parseViolations(r.body)
}

// read makes an answer of a reply, which is held against what was asked for.
func (c *Client) read(call *Call, r *reply, m *memory) (Answer, error) {
	garbage := func(err error) (Answer, error) {
		return Answer{}, &Failure{Reason: Garbage, Status: r.status, cause: err}
	}
	length, err := oip.JSONLength(r.jsonLength, r.contentType, len(r.body))
	if err != nil {
		return garbage(err)
	}
	decoded, err := m.decoder.DecodeAnswer(r.body, length)
	if err != nil {
		return garbage(err)
	}
	if r.version == "" {
		r.version = decoded.Version
	}
	if err := c.identify(r); err != nil {
		return Answer{}, &Failure{Reason: OtherVersion, Status: r.status, cause: err}
	}
	if m.outputs, err = arrange(m.outputs[:0], &decoded, c.bound.Signature, call); err != nil {
		return garbage(err)
	}
	return Answer{Outputs: m.outputs, Version: r.version, Digest: r.digest, ServedBy: servedBy(r.by), Release: func() { c.owner.rest(m) }}, nil
}

// errIdentity are the ways in which an answer is of another version.
var (
	errDigest  = errors.New("it answers with another digest")
	errNone    = errors.New("its answer names no digest: the backend's identity must be version or none if it never does")
	errVersion = errors.New("it answers with another version")
)

func (c *Client) identify(r *reply) error {
	switch c.backend.Identity {
	case inference.Unchecked:
		return nil
	case inference.ByDigest:
		if c.bound.Digest == "" {
			break
		}
		if r.digest == "" {
			return errNone
		}
		if r.digest != c.bound.Digest {
			return errDigest
		}
	}
	if c.number > 0 && r.version != strconv.Itoa(c.number) {
		return errVersion
	}
	return nil
}

// servedBy is what our own endpoint says of itself, in so far as it can be one.
func servedBy(by string) string {
	const plain = "endpoint"
	rest, ok := strings.CutPrefix(by, plain)
	if !ok || len(rest) > 16 || rest != "" && strings.Trim(rest, "-abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return plain
	}
	return by
}
