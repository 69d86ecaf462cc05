package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/tidegate/tidegate/shared/serving/rpc/inferencepb"
)

// caller makes one request at a time and checks the answer.
type caller interface {
	call() error
	close() error
}

// load is what callers saw.
type load struct {
	Callers  int     `json:"callers"`
	Requests int     `json:"requests"`
	Rate     float64 `json:"requests_per_s"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
}

// drive has callers call in a closed loop: a little while for nothing, then for as
// long as given.
func drive(n int, during time.Duration, make func(i int) (caller, error)) (load, error) {
	var mu sync.Mutex
	var taken []time.Duration
	var failed error
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		failed = errors.Join(failed, err)
	}
	var callers sync.WaitGroup
	begin := time.Now().Add(during / 4)
	end := begin.Add(during)
	for i := range n {
		callers.Go(func() {
			c, err := make(i)
			if err != nil {
				fail(err)
				return
			}
			defer func() { _ = c.close() }()
			var own []time.Duration
			for {
				started := time.Now()
				if started.After(end) {
					break
				}
				if err := c.call(); err != nil {
					fail(err)
					return
				}
				if started.After(begin) {
					own = append(own, time.Since(started))
				}
			}
			mu.Lock()
			taken = append(taken, own...)
			mu.Unlock()
		})
	}
	callers.Wait()
	if failed != nil || len(taken) == 0 {
		return load{}, fmt.Errorf("load of %d callers: %w", n, errors.Join(failed, errors.New("too few calls")))
	}
	slices.Sort(taken)
	at := func(q float64) float64 { return float64(taken[int(q*float64(len(taken)-1))].Nanoseconds()) / 1e3 }
	return load{n, len(taken), float64(len(taken)) / during.Seconds(), at(0.5), at(0.99)}, nil
}

// webCaller speaks HTTP/1.1 on a connection of its own with a request made
// beforehand: what it costs itself must not be mistaken for the server.
type webCaller struct {
	conn    net.Conn
	in      *bufio.Reader
	request []byte
	body    []byte
	check   func(body []byte) error
}

func newWebCaller(port, path string, header map[string]string, body []byte, check func([]byte) error) (*webCaller, error) {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n", path, len(body))
	for name, value := range header {
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	b.WriteString("\r\n")
	b.Write(body)
	return &webCaller{conn: conn, in: bufio.NewReaderSize(conn, 1<<16), request: b.Bytes(), check: check}, nil
}

func (c *webCaller) call() error {
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	good := bytes.HasPrefix(line, []byte("HTTP/1.1 200"))
	length := -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without a length")
	}
	c.body = slices.Grow(c.body[:0], length)[:length]
	if _, err := io.ReadFull(c.in, c.body); err != nil {
		return err
	}
	if !good {
		return fmt.Errorf("answer %.300s", c.body)
	}
	return c.check(c.body)
}

func (c *webCaller) close() error { return c.conn.Close() }

// rpcCaller calls by gRPC on a connection of its own.
type rpcCaller struct {
	conn    *grpc.ClientConn
	client  inferencepb.GRPCInferenceServiceClient
	request *inferencepb.ModelInferRequest
	check   func(out *inferencepb.ModelInferResponse) error
}

func newRPCCaller(port string, request *inferencepb.ModelInferRequest, check func(*inferencepb.ModelInferResponse) error) (*rpcCaller, error) {
	conn, err := grpc.NewClient("127.0.0.1:"+port, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		return nil, err
	}
	return &rpcCaller{conn, inferencepb.NewGRPCInferenceServiceClient(conn), request, check}, nil
}

func (c *rpcCaller) call() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := c.client.ModelInfer(ctx, c.request)
	if err != nil {
		return err
	}
	return c.check(out)
}

func (c *rpcCaller) close() error { return c.conn.Close() }
