package rpc

import (
	"context"
	"errors"
	"io"

	googleproto "google.golang.org/protobuf/proto"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// exportMessage is how many octets of records one message of an export gathers; it
// has one record more than fits.
const exportMessage = 256 << 10

// Export sends records as fast as the caller reads them.
func (s *Server) Export(m *proto.ExportRequest, stream proto.Registration_ExportServer) error {
	ctx := stream.Context()
	if err := s.options.MayWatch(ctx); err != nil {
		return toStatus(err)
	}
	prefix, err := proto.PrefixFromProto(m.GetPrefix())
	if err != nil {
		return toStatus(&registry.Error{Kind: registry.Malformed, Detail: "the prefix of an export cannot be read", Err: err})
	}
	after, err := proto.IDFromProto(m.GetAfter())
	if err != nil {
		return toStatus(&registry.Error{Kind: registry.Malformed, Detail: "the identifier to go on behind cannot be read", Err: err})
	}
	select {
	case s.watchers <- struct{}{}:
		defer func() { <-s.watchers }()
	default:
		return toStatus(&registry.Error{Kind: registry.Overloaded, Detail: "too many watch or export already: try again later"})
	}
	var gathered []*proto.ExportedRecord
	octets := 0
	send := func() error {
		err := stream.Send(&proto.ExportResponse{Records: gathered})
		gathered, octets = nil, 0
		return err
	}
	err = s.registry.Export(ctx, prefix, after, func(r *identifier.Record) error {
		select {
		case <-s.draining:
			return errDraining()
		default:
		}
		exported := &proto.ExportedRecord{Identifier: r.ID.String(), Record: proto.RecordToProto(r)}
		gathered = append(gathered, exported)
		if octets += googleproto.Size(exported); octets < exportMessage {
			return nil
		}
		return send()
	})
	if err == nil && len(gathered) > 0 {
		err = send()
	}
	var failure *registry.Error
	if errors.As(err, &failure) {
		return toStatus(failure)
	}
	return err
}

// Export calls yield for every live record at or below a prefix, as
// [registry.Registry.Export] does: it returns what yield returns when that is an
// error, and otherwise a [*registry.Error]. When the connection ends it goes on over
// another, as long as that brings something new.
func (c *Client) Export(ctx context.Context, below identifier.Prefix, after identifier.ID, yield func(*identifier.Record) error) error {
	for {
		last, err := c.exportOnce(ctx, below, after, yield)
		if failure, ok := errors.AsType[*exportBroken](err); ok {
			if last == after {
				return failure.err
			}
			after = last
			continue
		}
		return err
	}
}

// exportBroken says that a stream of records ended before its end.
type exportBroken struct{ err error }

func (e *exportBroken) Error() string { return e.err.Error() }

// exportOnce exports over one stream and returns the last identifier that it gave.
func (c *Client) exportOnce(ctx context.Context, below identifier.Prefix, after identifier.ID, yield func(*identifier.Record) error) (identifier.ID, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	broken := func(err error) error {
		e, _ := fromStatus(ctx, err)
		if ctx.Err() == nil && e.Kind == registry.Unavailable {
			return &exportBroken{e}
		}
		return e
	}
	stream, err := c.service.Export(ctx, &proto.ExportRequest{Prefix: string(below), After: after.String()})
	if err != nil {
		return after, broken(err)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return after, nil
		}
		if err != nil {
			return after, broken(err)
		}
		for _, exported := range m.GetRecords() {
			record, err := readExported(exported)
			if err != nil {
				return after, &registry.Error{Kind: registry.Unavailable, Detail: "a record that the node sent cannot be read", Err: err}
			}
			if err := yield(record); err != nil {
				return after, err
			}
			after = record.ID
		}
	}
}

func readExported(m *proto.ExportedRecord) (*identifier.Record, error) {
	id, err := proto.IDFromProto(m.GetIdentifier())
	if err != nil {
		return nil, err
	}
	return proto.RecordFromProto(id, m.GetRecord())
}
