package lambdaapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// Headers of the Runtime API
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).
const (
	headerRequestID = "Lambda-Runtime-Aws-Request-Id"
	headerDeadline  = "Lambda-Runtime-Deadline-Ms"
	headerTrace     = "Lambda-Runtime-Trace-Id"
	headerErrorType = "Lambda-Runtime-Function-Error-Type"
)

// runtimeAPI is a client of the Runtime API over one connection that is kept
// open. net/http's client hands each exchange between three goroutines, twice an
// invocation; here the goroutine that serves does its own reading and writing
// (the numbers are in docs/decisions.md, "Runtime API"). Framing stays net/http's.
type runtimeAPI struct {
	address string
	conn    net.Conn
	reader  *bufio.Reader
	head    []byte
}

// invocation is one event taken from the Runtime API.
type invocation struct {
	id       string
	trace    string
	deadline time.Time
	payload  []byte // valid until the next is taken
}

// next waits for an event. payload is memory to use for it.
func (a *runtimeAPI) next(payload []byte) (invocation, error) {
	response, err := a.do("GET", "/2018-06-01/runtime/invocation/next", nil, "")
	if err != nil {
		return invocation{}, fmt.Errorf("lambdaapi: next event: %w", err)
	}
	payload, err = readBody(payload[:0], response)
	if err != nil {
		a.close()
		return invocation{}, fmt.Errorf("lambdaapi: next event: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return invocation{}, fmt.Errorf("lambdaapi: next event: the Runtime API answers %d", response.StatusCode)
	}
	h := response.Header
	ms, err := strconv.ParseInt(h.Get(headerDeadline), 10, 64)
	if err != nil {
		return invocation{}, fmt.Errorf("lambdaapi: next event: no deadline: %w", err)
	}
	return invocation{id: h.Get(headerRequestID), trace: h.Get(headerTrace), deadline: time.UnixMilli(ms), payload: payload}, nil
}

// answer posts the result of an invocation.
func (a *runtimeAPI) answer(id string, result []byte) error {
	return a.post("/2018-06-01/runtime/invocation/"+id+"/response", result, "")
}

// fail posts an error as the result of an invocation; body is its description.
func (a *runtimeAPI) fail(id string, body []byte, kind string) error {
	return a.post("/2018-06-01/runtime/invocation/"+id+"/error", body, kind)
}

// refuse reports that the process cannot start.
func (a *runtimeAPI) refuse(body []byte, kind string) error {
	return a.post("/2018-06-01/runtime/init/error", body, kind)
}

func (a *runtimeAPI) post(path string, body []byte, kind string) error {
	response, err := a.do("POST", path, body, kind)
	if err != nil {
		return fmt.Errorf("lambdaapi: answer: %w", err)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		a.close()
	}
	if response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("lambdaapi: answer: the Runtime API answers %d", response.StatusCode)
	}
	return nil
}

// do sends one request and reads the head of its answer. A connection that the
// other side closed while it rested is opened again, once: then nothing of the
// answer has arrived.
func (a *runtimeAPI) do(method, path string, body []byte, kind string) (*http.Response, error) {
	for fresh := a.conn == nil; ; fresh = true {
		response, err := a.try(method, path, body, kind)
		if err == nil {
			return response, nil
		}
		a.close()
		if fresh || !isReset(err) {
			return nil, err
		}
	}
}

func (a *runtimeAPI) try(method, path string, body []byte, kind string) (*http.Response, error) {
	if err := a.dial(); err != nil {
		return nil, err
	}
	h := append(a.head[:0], method...)
	h = append(h, ' ')
	h = append(h, path...)
	h = append(h, " HTTP/1.1\r\nHost: "...)
	h = append(h, a.address...)
	h = append(h, "\r\nUser-Agent: tidegate\r\n"...)
	if method == "POST" {
		h = append(h, "Content-Type: application/json\r\nContent-Length: "...)
		h = strconv.AppendInt(h, int64(len(body)), 10)
		h = append(h, "\r\n"...)
	}
	if kind != "" {
		h = append(h, headerErrorType+": "...)
		h = append(h, kind...)
		h = append(h, "\r\n"...)
	}
	h = append(h, "\r\n"...)
	a.head = h
	buffers := net.Buffers{h, body} // one writev
	if _, err := buffers.WriteTo(a.conn); err != nil {
		return nil, err
	}
	if _, err := a.reader.Peek(1); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(a.reader, nil)
	if err == nil && response.Close {
		err = a.detach(response)
	}
	return response, err
}

// dial opens the connection, if there is none.
func (a *runtimeAPI) dial() error {
	if a.conn != nil {
		return nil
	}
	conn, err := net.Dial("tcp", a.address)
	if err != nil {
		return fmt.Errorf("lambdaapi: the Runtime API cannot be reached: %w", err)
	}
	a.conn, a.reader = conn, bufio.NewReaderSize(conn, 64<<10)
	return nil
}

// isReset says whether err is the other side's closing of a resting connection.
func isReset(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// detach reads the rest of an answer after which the other side closes.
func (a *runtimeAPI) detach(response *http.Response) error {
	rest, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	response.Body = io.NopCloser(bytes.NewReader(rest))
	response.ContentLength = int64(len(rest))
	a.close()
	return nil
}

func (a *runtimeAPI) close() {
	if a.conn != nil {
		_ = a.conn.Close()
		a.conn, a.reader = nil, nil
	}
}

// readBody reads the body of an answer into memory that is used again.
func readBody(into []byte, response *http.Response) ([]byte, error) {
	if n := response.ContentLength; n >= 0 {
		if int64(cap(into)) < n {
			into = make([]byte, n+n/4)
		}
		into = into[:n]
		_, err := io.ReadFull(response.Body, into)
		if err == nil { // lets net/http see the end
			_, err = io.Copy(io.Discard, response.Body)
		}
		return into, err
	}
	buffer := bytes.NewBuffer(into)
	_, err := buffer.ReadFrom(response.Body)
	return buffer.Bytes(), err
}

// unblock ends a wait for the next event when ctx ends; the returned function
// ends the watch.
func (a *runtimeAPI) unblock(ctx context.Context) (stop func() bool) {
	conn := a.conn
	if conn == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
}
