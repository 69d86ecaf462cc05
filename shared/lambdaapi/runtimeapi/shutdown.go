package runtimeapi

import (
	"fmt"
	"net/http"
)

// WantSignal registers the process as an internal extension, without which the
// platform ends a function with SIGKILL alone; with it SIGTERM comes first and up to
// 500 ms remain (Lambda developer guide, "Shutdown phase"). The name must be unique
// among the function's extensions. The registration lasts as long as the returned
// stop is not called, which a function never does.
func WantSignal(api, name string) (stop func(), err error) {
	c := newClient(api)
	var body []byte
	events := `{"events":[]}`
	register := c.request(http.MethodPost, extensionPath+"register",
		fmt.Sprintf("Lambda-Extension-Name: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", token(name), len(events)))
	h, err := c.exchange(register, []byte(events), &body)
	if err == nil && h.status != http.StatusOK {
		err = fmt.Errorf("status %d", h.status)
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("runtimeapi: register for SIGTERM: %w", err)
	}
	// An extension is part of the start until it asks for its next event, so it must; internal ones get none.
	if c.conn == nil {
		if err := c.dial(); err != nil {
			return nil, fmt.Errorf("runtimeapi: register for SIGTERM: %w", err)
		}
	}
	wait := c.request(http.MethodGet, extensionPath+"event/next", "Lambda-Extension-Identifier: "+token(h.get("Lambda-Extension-Identifier"))+"\r\n")
	conn := c.conn
	go func() { _, _ = c.exchange(wait, nil, nil) }()
	return func() { _ = conn.Close() }, nil
}
