package runtimeapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"time"
)

// readBuffer holds a poll's header and a small event in one read.
const readBuffer = 64 << 10

// dialTimeout bounds connecting to a server on the same machine.
const dialTimeout = 2 * time.Second

// client is one connection to the Runtime API, used by one goroutine.
type client struct {
	api    string
	conn   net.Conn // nil when there is none
	reader *bufio.Reader
	used   bool // an exchange has been completed on conn
}

func newClient(api string) *client {
	return &client{api: api, reader: bufio.NewReaderSize(nil, readBuffer)}
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

func (c *client) dial() error {
	c.close()
	conn, err := net.DialTimeout("tcp", c.api, dialTimeout)
	if err != nil {
		return err
	}
	c.conn, c.used = conn, false
	c.reader.Reset(conn)
	return nil
}

// poll is an exchange that the end of ctx breaks off.
func (c *client) poll(ctx context.Context, head []byte, into *[]byte) (header, error) {
	if c.conn == nil {
		if err := c.dial(); err != nil {
			return header{}, err
		}
	}
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	h, err := c.exchange(head, nil, into)
	if !stop() && err == nil {
		err = conn.SetReadDeadline(time.Time{}) // an event came at the last moment: it will be answered
	}
	return h, err
}

// request is the head of a request; extra holds header lines, each with its line end.
func (c *client) request(method, path, extra string) []byte {
	return []byte(method + " " + path + " HTTP/1.1\r\nHost: " + c.api + "\r\nUser-Agent: tidegate\r\n" + extra + "\r\n")
}

// header is what is read of an answer beside its body.
type header struct {
	status int
	fields http.Header
	resent bool // the request was sent a second time
}

func (h header) get(name string) string { return h.fields.Get(name) }

// exchange sends a request and reads its answer, the body into *into, or nowhere when into is nil. When
// the server has closed a connection that was used before, the request is sent once more on a new one.
func (c *client) exchange(head, body []byte, into *[]byte) (header, error) {
	if c.conn == nil {
		if err := c.dial(); err != nil {
			return header{}, err
		}
	}
	resent := false
	err := c.send(head, body)
	if err != nil && c.used && !errors.Is(err, os.ErrDeadlineExceeded) {
		if err := c.dial(); err != nil {
			return header{}, err
		}
		resent = true
		err = c.send(head, body)
	}
	if err != nil {
		c.close()
		return header{}, err
	}
	h, err := c.receive(into)
	h.resent = resent
	return h, err
}

// send writes the request with one system call and waits for the first byte of the answer.
func (c *client) send(head, body []byte) error {
	buffers := net.Buffers{head, body}
	if len(body) == 0 {
		buffers = buffers[:1]
	}
	if _, err := buffers.WriteTo(c.conn); err != nil {
		return err
	}
	_, err := c.reader.Peek(1)
	return err
}

func (c *client) receive(into *[]byte) (header, error) {
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.close()
		return header{}, err
	}
	if err := readBody(response, into); err != nil {
		c.close()
		return header{}, fmt.Errorf("the answer breaks off: %w", err)
	}
	c.used = true
	if response.Close {
		c.close()
	}
	return header{status: response.StatusCode, fields: response.Header}, nil
}

// readBody reuses the memory of *into where the length is known; a chunked body gets its own.
func readBody(response *http.Response, into *[]byte) (err error) {
	n := response.ContentLength
	switch {
	case into == nil:
		_, err = io.Copy(io.Discard, response.Body)
	case n < 0:
		*into, err = io.ReadAll(response.Body)
	default:
		*into = slices.Grow((*into)[:0], int(n))[:n]
		_, err = io.ReadFull(response.Body, *into)
	}
	return err
}
