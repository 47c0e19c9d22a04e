package rpc

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/history"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Mirrored answers a node that asks for its own log, or a top-level node that asks for one
// that it has sent. It has proved its key with its certificate.
func (p *Parent) Mirrored(ctx context.Context, m *proto.MirroredRequest) (*proto.MirroredResponse, error) {
	err := p.config.MayConnect(ctx)
	key, proved := proto.PeerKey(ctx)
	if err == nil && !proved {
		err = &replica.Refusal{Reason: replica.Unauthenticated, Detail: "a log is shown to the node whose it is: connect with TLS and the certificate of one"}
	}
	var held history.Held
	node, log := key, identifier.LogID{}
	if err == nil && m.GetNode() != nil {
		if node, err = proto.KeyFromProto(m.GetNode()); err == nil {
			err = node.Check()
		}
	}
	if err == nil && len(m.GetLog()) > 0 {
		err = fixed("mirrored.log", log[:], m.GetLog())
	}
	if err != nil {
		if r, ok := errors.AsType[*replica.Refusal](err); ok {
			return nil, mirroredStatus(r)
		}
		return nil, status.Error(codes.InvalidArgument, proto.Detail(err.Error()))
	}
	if held, err = p.config.Mirrors.Mirrored(key, node, log, m.GetPosition()); err != nil {
		return nil, mirroredStatus(p.refusalOf(err))
	}
	out := &proto.MirroredResponse{
		Log: held.Log[:], Size: held.Size, Row: held.Row, Policy: uint32(held.Policy), Checkpoint: held.Checkpoint, Base: held.Base,
		Held: logsToProto(held.Apart.Held), Lost: logsToProto(held.Apart.Lost), Node: m.GetNode(),
	}
	if u := held.Unit; u != nil {
		out.Start, out.Payloads, out.Checkpoint = u.Start, u.Payloads, u.Checkpoint
	}
	return out, nil
}

func logsToProto(logs []identifier.LogID) (out [][]byte) {
	for i := range logs {
		out = append(out, logs[i][:])
	}
	return out
}

// logsFromProto reads logs, as many as a genesis can name.
func logsFromProto(field string, logs [][]byte) ([]identifier.LogID, error) {
	if len(logs) > identifier.MaxBefore {
		return nil, fieldError(field, "%d logs, where %d at most are named", len(logs), identifier.MaxBefore)
	}
	var out []identifier.LogID
	for _, b := range logs {
		var log identifier.LogID
		if err := fixed(field, log[:], b); err != nil {
			return nil, err
		}
		out = append(out, log)
	}
	return out, nil
}

func mirroredStatus(r *replica.Refusal) error {
	code := codes.Unavailable
	switch r.Reason {
	case replica.UnknownNode:
		code = codes.NotFound
	case replica.Unauthenticated:
		code = codes.Unauthenticated
	case replica.Loss:
		code = codes.FailedPrecondition
	}
	return status.Error(code, proto.Detail(r.Detail))
}

// Upper is a node's own log as another node mirrors it: its parent, or another top-level
// node; or the log of a child of a top-level node ([Upper.Child]). It may be used by several
// goroutines at once.
type Upper struct {
	conn *grpc.ClientConn
	key  identifier.PublicKey
	node identifier.PublicKey // whose log; zero for the node's own
	log  identifier.LogID     // of all zeros for the one that counts there
}

// NewUpper returns what is mirrored at an address, of the log of the node whose identity
// the connection has. key is that of the other node; Close lets go of the connection.
func NewUpper(address string, key identifier.PublicKey, options ...grpc.DialOption) (*Upper, error) {
	conn, err := proto.Dial(address, append([]grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(proto.MaxReplication))}, options...)...)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	return &Upper{conn: conn, key: key}, nil
}

// Key returns the key of the node that holds the mirror.
func (u *Upper) Key() identifier.PublicKey { return u.key }

// Of is the same of another log of the node, over the same connection.
func (u *Upper) Of(log identifier.LogID) history.Upper {
	of := *u
	of.log = log
	return &of
}

// Child is the log of a child of this node that it has sent there, over the same connection.
func (u *Upper) Child(node identifier.PublicKey) *Upper {
	of := *u
	of.node = node
	return &of
}

// Close ends the connection.
func (u *Upper) Close() error { return u.conn.Close() }

// Answered reports whether the other node was there and had an answer for good, by the error
// of [Upper.Mirrored].
func Answered(err error) bool {
	if err == nil || errors.Is(err, history.ErrNotMirrored) {
		return true
	}
	switch status.Code(err) {
	case codes.FailedPrecondition, codes.Unauthenticated, codes.PermissionDenied:
		return true
	}
	return false
}

// Mirrored returns what is held of the log that counts there, with the unit that has the
// entry at a position. The error wraps [history.ErrNotMirrored] when nothing is held.
func (u *Upper) Mirrored(ctx context.Context, position uint64) (history.Held, error) {
	request := &proto.MirroredRequest{Position: position}
	if u.node != (identifier.PublicKey{}) {
		request.Node = proto.KeyToProto(u.node)
	}
	if u.log != (identifier.LogID{}) {
		request.Log = u.log[:]
	}
	m, err := proto.NewReplicationClient(u.conn).Mirrored(ctx, request)
	if err != nil {
		if s := status.Convert(err); s.Code() == codes.NotFound {
			return history.Held{}, fmt.Errorf("%w: %s", history.ErrNotMirrored, s.Message())
		}
		return history.Held{}, err
	}
	if request.Node != nil && !protobuf.Equal(m.GetNode(), request.Node) {
		return history.Held{}, errors.New("the other node tells of its own children's logs alone: run the same release on both nodes")
	}
	return mirroredFromProto(m)
}

// mostPositions is how many positions a node's logs may have used up together.
const mostPositions = 1 << 62

// mirroredFromProto reads what another node says that it holds. What is in the unit is for
// the node to compare with what it has signed.
func mirroredFromProto(m *proto.MirroredResponse) (history.Held, error) {
	held := history.Held{Size: m.GetSize(), Row: m.GetRow(), Base: m.GetBase()}
	if err := fixed("mirrored.log", held.Log[:], m.GetLog()); err != nil {
		return history.Held{}, err
	}
	if most := max(held.Size, held.Row, held.Base, m.GetStart()); most > mostPositions {
		return history.Held{}, fieldError("mirrored", "position %d is beyond what a log may have, %d", most, uint64(mostPositions))
	}
	var err1, err2 error
	held.Apart.Held, err1 = logsFromProto("mirrored.held", m.GetHeld())
	held.Apart.Lost, err2 = logsFromProto("mirrored.lost", m.GetLost())
	if err := errors.Join(err1, err2); err != nil {
		return history.Held{}, err
	}
	if len(m.GetPayloads()) > replica.MaxEntries || len(m.GetCheckpoint()) > replica.MaxCheckpoint {
		return history.Held{}, errors.New("the unit that came has more than one can have")
	}
	if p := m.GetPolicy(); p > uint32(identifier.PolicyWitness) {
		return history.Held{}, fieldError("mirrored.policy", "%d is none that this version knows: run the same release on both nodes", p)
	}
	if held.Policy = identifier.Policy(m.GetPolicy()); held.Policy != identifier.PolicyMirror {
		held.Checkpoint = m.GetCheckpoint()
		return held, nil
	}
	if len(m.GetPayloads()) == 0 {
		return held, nil
	}
	held.Unit = &replica.Unit{Start: m.GetStart(), Payloads: m.GetPayloads(), Checkpoint: m.GetCheckpoint()}
	return held, nil
}
