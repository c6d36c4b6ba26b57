package grpctest

import (
	"errors"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

// The procedures, as both name them.
const (
	emptyCall  = grpc_testing.TestService_EmptyCall_FullMethodName
	unaryCall  = grpc_testing.TestService_UnaryCall_FullMethodName
	inputCall  = grpc_testing.TestService_StreamingInputCall_FullMethodName
	outputCall = grpc_testing.TestService_StreamingOutputCall_FullMethodName
	duplexCall = grpc_testing.TestService_FullDuplexCall_FullMethodName
)

// binary are fields whose values are encoded in HTTP.
func binary(key string) bool { return strings.HasSuffix(strings.ToLower(key), "-bin") }

func toMetadata(h http.Header) metadata.MD {
	md := make(metadata.MD)
	for key, values := range h {
		for _, v := range values {
			if binary(key) {
				if b, err := connect.DecodeBinaryHeader(v); err == nil {
					v = string(b)
				}
			}
			md.Append(key, v)
		}
	}
	return md
}

func addTo(h http.Header, md metadata.MD) {
	for key, values := range md {
		for _, v := range values {
			if binary(key) {
				v = connect.EncodeBinaryHeader([]byte(v))
			}
			h.Add(key, v)
		}
	}
}

// fromConnect returns an error of connect-go as one of grpc-go.
func fromConnect(err error) error {
	if err == nil {
		return nil
	}
	var ce *connect.Error
	if !errors.As(err, &ce) {
		return status.Error(codes.Unknown, err.Error())
	}
	st := status.New(codes.Code(ce.Code()), ce.Message())
	for _, d := range ce.Details() {
		m, e := d.Value()
		if e == nil {
			st, e = st.WithDetails(protoadapt.MessageV1Of(m))
		}
		if e != nil {
			return status.Errorf(codes.Internal, "detail of %v: %v", err, e)
		}
	}
	return st.Err()
}

// toConnect returns an error of the service as one of connect-go.
func toConnect(err error) error {
	if err == nil {
		return nil
	}
	st := status.Convert(err)
	ce := connect.NewError(connect.Code(st.Code()), errors.New(st.Message()))
	for _, d := range st.Details() {
		m, ok := d.(proto.Message)
		if !ok {
			continue
		}
		if detail, err := connect.NewErrorDetail(m); err == nil {
			ce.AddDetail(detail)
		}
	}
	return ce
}
