package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate/tidegate/cmd/tidegate/internal/proxy"
	"github.com/tidegate/tidegate/shared/fault"
)

func (a *app) proxyCommand() *cobra.Command {
	var port int
	c := &cobra.Command{
		Use:   "proxy",
		Short: "Serve the prediction API on 127.0.0.1, signing each request",
		Long: `Serves the stack's prediction API on a local port and signs each request with your AWS
credentials, so that any Open Inference Protocol (Triton) or TensorFlow-Serving client reaches a
stack with AWS_IAM authorization. It listens on 127.0.0.1 only and does not answer web pages.`,
		Example: "  tidegate proxy --port 8000\n  curl http://127.0.0.1:8000/v2/health/ready",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, _, err := a.open(c.Context())
			if err != nil {
				return err
			}
			authorize, err := a.authorizer(c.Context(), s)
			if err != nil {
				return err
			}
			handler, err := proxy.New(s.ApiEndpoint, authorize)
			if err != nil {
				return err
			}
			listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			if err != nil {
				return fault.Wrap(err, fault.Unavailable, "port %d cannot be opened; choose another with --port", port)
			}
			fmt.Fprintf(a.Stdout, "http://%s -> %s\n", listener.Addr(), s.ApiEndpoint)
			return serve(c.Context(), listener, handler)
		},
	}
	c.Flags().IntVar(&port, "port", 0, "local port (default: a free one, printed)")
	return c
}

// serve runs until ctx ends, then lets running requests finish.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		server.Shutdown(grace)
	})
	err := server.Serve(listener)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fault.Wrap(err, fault.Unavailable, "the local port failed")
}
