package standin

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Cloud is the three stand-ins, listening on 127.0.0.1.
type Cloud struct {
	S3       *S3
	Firehose *Firehose

	s3, firehose *http.Server
	s3Addr       string
	firehoseAddr string
	xray         net.PacketConn
	segments     atomic.Int64
}

// Open starts the stand-ins on free ports.
func Open() (*Cloud, error) {
	c := &Cloud{S3: NewS3(), Firehose: &Firehose{}}
	var err error
	if c.s3, c.s3Addr, err = serve(c.S3); err != nil {
		return nil, err
	}
	if c.firehose, c.firehoseAddr, err = serve(c.Firehose); err != nil {
		return nil, errors.Join(err, c.s3.Close())
	}
	if c.xray, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		return nil, errors.Join(fmt.Errorf("bench: listen: %w", err), c.s3.Close(), c.firehose.Close())
	}
	go c.drain()
	return c, nil
}

// Close stops them.
func (c *Cloud) Close() error {
	return errors.Join(c.s3.Close(), c.firehose.Close(), c.xray.Close())
}

// Env points AWS clients and the X-Ray recorder at the stand-ins.
func (c *Cloud) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL_S3=http://" + c.s3Addr,
		"AWS_ENDPOINT_URL_FIREHOSE=http://" + c.firehoseAddr,
		"AWS_XRAY_DAEMON_ADDRESS=" + c.xray.LocalAddr().String(),
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// Segments is the number of X-Ray documents received.
func (c *Cloud) Segments() int64 { return c.segments.Load() }

func (c *Cloud) drain() {
	buf := make([]byte, 64<<10)
	for {
		if _, _, err := c.xray.ReadFrom(buf); err != nil {
			return
		}
		c.segments.Add(1)
	}
}

func serve(h http.Handler) (*http.Server, string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("bench: listen: %w", err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return server, listener.Addr().String(), nil
}
