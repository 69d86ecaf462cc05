package rpc

import (
	"context"
	"encoding/json"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/serving/rpc/inferencepb"
)

// get asks the handlers and gives the answer to read, whatever its status.
func (s *Service) get(ctx context.Context, at string, read func(resp *httpapi.Response) error) error {
	c := calls.Get().(*call)
	c.req.Method, c.req.Path = "GET", at
	resp := s.api.Serve(ctx, &c.req)
	defer s.after.Do(resp.After, c.rest)
	return read(&resp)
}

// into reads a good answer into v.
func into(v any) func(resp *httpapi.Response) error {
	return func(resp *httpapi.Response) error {
		if resp.Status != 200 {
			return failed(resp)
		}
		if err := json.Unmarshal(resp.Body, v); err != nil {
			return status.Error(codes.Internal, "internal error")
		}
		return nil
	}
}

// ServerLive implements the service: who answers is alive.
func (s *Service) ServerLive(context.Context, *inferencepb.ServerLiveRequest) (*inferencepb.ServerLiveResponse, error) {
	return &inferencepb.ServerLiveResponse{Live: true}, nil
}

// ServerReady implements the service.
func (s *Service) ServerReady(ctx context.Context, _ *inferencepb.ServerReadyRequest) (*inferencepb.ServerReadyResponse, error) {
	return &inferencepb.ServerReadyResponse{Ready: s.opt.Ready(ctx) == nil}, nil
}

// ModelReady implements the service.
func (s *Service) ModelReady(ctx context.Context, in *inferencepb.ModelReadyRequest) (*inferencepb.ModelReadyResponse, error) {
	out := &inferencepb.ModelReadyResponse{}
	return out, s.get(ctx, path(in.Name, in.Version)+"/ready", func(resp *httpapi.Response) error {
		if out.Ready = resp.Status == 200; out.Ready || resp.Status == 503 {
			return nil
		}
		return failed(resp)
	})
}

// ServerMetadata implements the service.
func (s *Service) ServerMetadata(ctx context.Context, _ *inferencepb.ServerMetadataRequest) (*inferencepb.ServerMetadataResponse, error) {
	var body struct {
		Name       string   `json:"name"`
		Version    string   `json:"version"`
		Extensions []string `json:"extensions"`
	}
	if err := s.get(ctx, "/v2", into(&body)); err != nil {
		return nil, err
	}
	return &inferencepb.ServerMetadataResponse{Name: body.Name, Version: body.Version, Extensions: body.Extensions}, nil
}

// ModelMetadata implements the service.
func (s *Service) ModelMetadata(ctx context.Context, in *inferencepb.ModelMetadataRequest) (*inferencepb.ModelMetadataResponse, error) {
	type tensorBody struct {
		Name     string  `json:"name"`
		Datatype string  `json:"datatype"`
		Shape    []int64 `json:"shape"`
	}
	var body struct {
		Name     string       `json:"name"`
		Versions []string     `json:"versions"`
		Platform string       `json:"platform"`
		Inputs   []tensorBody `json:"inputs"`
		Outputs  []tensorBody `json:"outputs"`
	}
	if err := s.get(ctx, path(in.Name, in.Version), into(&body)); err != nil {
		return nil, err
	}
	list := func(tensors []tensorBody) (all []*inferencepb.ModelMetadataResponse_TensorMetadata) {
		for _, t := range tensors {
			all = append(all, &inferencepb.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: t.Datatype, Shape: t.Shape})
		}
		return all
	}
	return &inferencepb.ModelMetadataResponse{Name: body.Name, Versions: body.Versions, Platform: body.Platform, Inputs: list(body.Inputs), Outputs: list(body.Outputs)}, nil
}
