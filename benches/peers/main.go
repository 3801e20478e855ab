// Serves the device of benches/transcoder over HTTP/1.1 with one of Go's REST transcoders, for scripts/bench peers:
//
//	go-transcoders vanguard|gateway|gateway-hop DEVICE.json ADDRESS
//
// vanguard is a connect-go service in the same process, gateway a gRPC service in the same process, and gateway-hop
// the same service behind a gRPC connection, which is how grpc-gateway is usually deployed. As on the other sides, a
// call copies the device that the process holds. GOMAXPROCS=1 restricts the process to one processor.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"connectrpc.com/connect"
	"connectrpc.com/vanguard"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"tenantry/peers/transcoders/fleetv1"
	"tenantry/peers/transcoders/fleetv1/fleetv1connect"
)

var (
	errNotFound = errors.New("no such device")
	errNoTags   = errors.New("no tags")
)

// The service itself, without a protocol.
type devices struct{ held *fleetv1.Device }

func (d devices) get(request *fleetv1.GetDeviceRequest) (*fleetv1.Device, error) {
	if request.GetDevice() == "" {
		return nil, errNotFound
	}
	return proto.CloneOf(d.held), nil
}

func (d devices) put(request *fleetv1.PutDeviceRequest) (*fleetv1.PutDeviceResponse, error) {
	if len(request.GetDevice().GetTags()) == 0 {
		return nil, errNoTags
	}
	return &fleetv1.PutDeviceResponse{Uid: request.GetDevice().GetUid()}, nil
}

type overConnect struct{ devices }

func (s overConnect) GetDevice(_ context.Context, request *connect.Request[fleetv1.GetDeviceRequest]) (*connect.Response[fleetv1.Device], error) {
	device, err := s.get(request.Msg)
	if err != nil {
		return nil, connect.NewError(connect.CodeNotFound, err)
	}
	return connect.NewResponse(device), nil
}

func (s overConnect) PutDevice(_ context.Context, request *connect.Request[fleetv1.PutDeviceRequest]) (*connect.Response[fleetv1.PutDeviceResponse], error) {
	response, err := s.put(request.Msg)
	if err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	return connect.NewResponse(response), nil
}

type overGRPC struct {
	fleetv1.UnimplementedDeviceServiceServer
	devices
}

func (s overGRPC) GetDevice(_ context.Context, request *fleetv1.GetDeviceRequest) (*fleetv1.Device, error) {
	device, err := s.get(request)
	if err != nil {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	return device, nil
}

func (s overGRPC) PutDevice(_ context.Context, request *fleetv1.PutDeviceRequest) (*fleetv1.PutDeviceResponse, error) {
	response, err := s.put(request)
	if err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	return response, nil
}

func handler(side string, service devices) (http.Handler, error) {
	ctx, mux := context.Background(), runtime.NewServeMux()
	switch side {
	case "vanguard":
		_, inner := fleetv1connect.NewDeviceServiceHandler(overConnect{service})
		path := "/" + fleetv1connect.DeviceServiceName + "/"
		return vanguard.NewTranscoder([]*vanguard.Service{vanguard.NewService(path, inner)})
	case "gateway":
		return mux, fleetv1.RegisterDeviceServiceHandlerServer(ctx, mux, overGRPC{devices: service})
	case "gateway-hop":
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		server := grpc.NewServer()
		fleetv1.RegisterDeviceServiceServer(server, overGRPC{devices: service})
		go func() { fail(server.Serve(listener)) }()
		plain := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
		return mux, fleetv1.RegisterDeviceServiceHandlerFromEndpoint(ctx, mux, listener.Addr().String(), plain)
	}
	return nil, fmt.Errorf("unknown side %q", side)
}

func run(arguments []string) error {
	if len(arguments) != 3 {
		return errors.New("usage: go-transcoders vanguard|gateway|gateway-hop DEVICE.json ADDRESS")
	}
	json, err := os.ReadFile(arguments[1])
	if err != nil {
		return err
	}
	held := &fleetv1.Device{}
	if err := protojson.Unmarshal(json, held); err != nil {
		return err
	}
	handler, err := handler(arguments[0], devices{held})
	if err != nil {
		return err
	}
	return http.ListenAndServe(arguments[2], handler)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "error:", err)
	os.Exit(1)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fail(err)
	}
}
