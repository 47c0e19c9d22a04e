package rpc

import (
	"errors"
	"fmt"
	"time"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// requestToProto returns the message of what a child sends. It shares memory with it.
func requestToProto(m replica.Message) *proto.ReplicateRequest {
	switch m := m.(type) {
	case *replica.Hello:
		return &proto.ReplicateRequest{Message: &proto.ReplicateRequest_Hello{Hello: &proto.Hello{
			Protocol: m.Protocol, Node: proto.KeyToProto(m.Node), Log: m.Log[:], Owner: proto.KeyToProto(m.Owner), Tip: m.Tip, Nonce: m.Nonce[:], Signature: m.Signature,
			Acked: m.Acked,
		}}}
	case *replica.Entries:
		return &proto.ReplicateRequest{Message: &proto.ReplicateRequest_Entries{Entries: &proto.Entries{
			Session: m.Session[:], Start: m.Start, Payloads: m.Payloads, Checkpoint: m.Checkpoint, Proof: proofToProto(m.Proof),
		}}}
	case *replica.Advance:
		return &proto.ReplicateRequest{Message: &proto.ReplicateRequest_Advance{Advance: &proto.Advance{
			Session: m.Session[:], Old: m.Old, Root: m.Root[:], Checkpoint: m.Checkpoint, First: m.First, Proof: proofToProto(m.Proof),
		}}}
	case *replica.Heartbeat:
		return &proto.ReplicateRequest{Message: &proto.ReplicateRequest_Heartbeat{Heartbeat: &proto.Heartbeat{
			Session: m.Session[:], Sent: m.Sent, Size: m.Size, Grants: m.Grants, Anchored: m.Anchored, Rooted: m.Rooted,
		}}}
	case *replica.Fetch:
		return &proto.ReplicateRequest{Message: &proto.ReplicateRequest_Fetch{Fetch: &proto.Fetch{Session: m.Session[:], From: m.From}}}
	case *replica.Refuse:
		return &proto.ReplicateRequest{Message: &proto.ReplicateRequest_Refuse{Refuse: refuseToProto(m)}}
	}
	panic(fmt.Sprintf("a child does not send %T", m))
}

// requestFromProto reads what a child sent. The error is a [*proto.FieldError].
func requestFromProto(m *proto.ReplicateRequest) (replica.Message, error) {
	switch m := m.GetMessage().(type) {
	case *proto.ReplicateRequest_Hello:
		return helloFromProto(m.Hello)
	case *proto.ReplicateRequest_Entries:
		e := &replica.Entries{Start: m.Entries.GetStart(), Payloads: m.Entries.GetPayloads(), Checkpoint: m.Entries.GetCheckpoint()}
		if n := len(e.Payloads); n > replica.MaxEntries {
			return nil, fieldError("entries.payloads", "there are %d, at most %d are allowed", n, replica.MaxEntries)
		}
		var err error
		if e.Proof, err = proofFromProto("entries.proof", m.Entries.GetProof()); err != nil {
			return nil, err
		}
		return e, fixed("entries.session", e.Session[:], m.Entries.GetSession())
	case *proto.ReplicateRequest_Advance:
		return advanceFromProto(m.Advance)
	case *proto.ReplicateRequest_Heartbeat:
		h := &replica.Heartbeat{Sent: m.Heartbeat.GetSent(), Size: m.Heartbeat.GetSize(), Grants: m.Heartbeat.GetGrants(),
			Anchored: m.Heartbeat.GetAnchored(), Rooted: m.Heartbeat.GetRooted()}
		return h, fixed("heartbeat.session", h.Session[:], m.Heartbeat.GetSession())
	case *proto.ReplicateRequest_Fetch:
		f := &replica.Fetch{From: m.Fetch.GetFrom()}
		return f, fixed("fetch.session", f.Session[:], m.Fetch.GetSession())
	case *proto.ReplicateRequest_Refuse:
		return refuseFromProto(m.Refuse)
	}
	return nil, fieldError("message", "is none that this version knows: run the same release on both nodes")
}

func advanceFromProto(m *proto.Advance) (replica.Message, error) {
	a := &replica.Advance{Old: m.GetOld(), Checkpoint: m.GetCheckpoint(), First: m.GetFirst()}
	if n := len(a.Checkpoint); n > replica.MaxCheckpoint {
		return nil, fieldError("advance.checkpoint", "has %d octets, at most %d are allowed", n, replica.MaxCheckpoint)
	}
	var err error
	if a.Proof, err = proofFromProto("advance.proof", m.GetProof()); err != nil {
		return nil, err
	}
	return a, errors.Join(fixed("advance.session", a.Session[:], m.GetSession()), fixed("advance.root", a.Root[:], m.GetRoot()))
}

func helloFromProto(m *proto.Hello) (replica.Message, error) {
	h := &replica.Hello{Protocol: m.GetProtocol(), Tip: m.GetTip(), Signature: m.GetSignature(), Acked: m.GetAcked()}
	var err error
	if h.Node, err = proto.KeyFromProto(m.GetNode()); err != nil {
		return nil, fmt.Errorf("hello.node: %w", err)
	}
	if h.Owner, err = proto.KeyFromProto(m.GetOwner()); err != nil {
		return nil, fmt.Errorf("hello.owner: %w", err)
	}
	return h, errors.Join(fixed("hello.log", h.Log[:], m.GetLog()), fixed("hello.nonce", h.Nonce[:], m.GetNonce()))
}

// responseToProto returns the message of what a parent sends. It shares memory with it.
func responseToProto(m replica.Message) *proto.ReplicateResponse {
	switch m := m.(type) {
	case *replica.Challenge:
		return &proto.ReplicateResponse{Message: &proto.ReplicateResponse_Challenge{Challenge: &proto.Challenge{
			Nonce: m.Nonce[:], Parent: proto.KeyToProto(m.Parent),
		}}}
	case *replica.Welcome:
		return &proto.ReplicateResponse{Message: &proto.ReplicateResponse_Welcome{Welcome: &proto.Welcome{
			Parent: proto.KeyToProto(m.Parent), ParentLog: m.ParentLog[:], Session: m.Session[:], Nonce: m.Nonce[:],
			Checkpoint: m.Checkpoint, Credit: m.Credit, Policy: uint32(m.Policy), Held: m.Held, Signature: m.Signature,
			FenceSize: m.Fence.Size, FenceRoot: fenceRootToProto(m.Fence),
		}}}
	case *replica.Ack:
		return &proto.ReplicateResponse{Message: &proto.ReplicateResponse_Ack{Ack: &proto.Ack{
			Session: m.Session[:], Size: m.Size, Root: m.Root[:], Credit: m.Credit, Anchored: m.Anchored,
		}}}
	case *replica.Cosigned:
		receipt, err := replica.AppendReceipt(nil, m.Receipt)
		if err != nil {
			panic(fmt.Sprintf("a receipt that was made here cannot be sent: %v", err))
		}
		return &proto.ReplicateResponse{Message: &proto.ReplicateResponse_Cosigned{Cosigned: &proto.Cosigned{
			Session: m.Session[:], Receipt: receipt,
		}}}
	case *replica.Nack:
		return &proto.ReplicateResponse{Message: &proto.ReplicateResponse_Nack{Nack: &proto.Nack{Session: m.Session[:], Next: m.Next}}}
	case *replica.Return:
		return &proto.ReplicateResponse{Message: &proto.ReplicateResponse_Return{Return: &proto.Return{
			Session: m.Session[:], Start: m.Start, Payloads: m.Payloads, Checkpoint: m.Checkpoint,
		}}}
	case *replica.Grant:
		return &proto.ReplicateResponse{Message: &proto.ReplicateResponse_Grant{Grant: &proto.Grant{
			Session: m.Session[:], Number: m.Number, Envelope: proto.EnvelopeToProto(&m.Envelope),
		}}}
	case *replica.Control:
		return &proto.ReplicateResponse{Message: &proto.ReplicateResponse_Control{Control: &proto.Control{
			Session: m.Session[:], Order: proto.Control_Order(m.Order), Detail: proto.Cut(m.Detail, replica.MaxDetail), AfterMs: uint32(min(m.After, replica.MaxAfter).Milliseconds()),
		}}}
	case *replica.Refuse:
		return &proto.ReplicateResponse{Message: &proto.ReplicateResponse_Refuse{Refuse: refuseToProto(m)}}
	}
	panic(fmt.Sprintf("a parent does not send %T", m))
}

// responseFromProto reads what a parent sent. The error is a [*proto.FieldError].
func responseFromProto(m *proto.ReplicateResponse) (replica.Message, error) {
	switch m := m.GetMessage().(type) {
	case *proto.ReplicateResponse_Challenge:
		c := &replica.Challenge{}
		var err error
		if c.Parent, err = proto.KeyFromProto(m.Challenge.GetParent()); err != nil {
			return nil, fmt.Errorf("challenge.parent: %w", err)
		}
		return c, fixed("challenge.nonce", c.Nonce[:], m.Challenge.GetNonce())
	case *proto.ReplicateResponse_Welcome:
		return welcomeFromProto(m.Welcome)
	case *proto.ReplicateResponse_Ack:
		a := &replica.Ack{Size: m.Ack.GetSize(), Credit: m.Ack.GetCredit(), Anchored: m.Ack.GetAnchored()}
		return a, errors.Join(fixed("ack.session", a.Session[:], m.Ack.GetSession()), fixed("ack.root", a.Root[:], m.Ack.GetRoot()))
	case *proto.ReplicateResponse_Cosigned:
		c := &replica.Cosigned{}
		var err error
		if c.Receipt, err = replica.ParseReceipt(m.Cosigned.GetReceipt()); err != nil {
			return nil, &proto.FieldError{Field: "cosigned.receipt", Err: err}
		}
		return c, fixed("cosigned.session", c.Session[:], m.Cosigned.GetSession())
	case *proto.ReplicateResponse_Nack:
		n := &replica.Nack{Next: m.Nack.GetNext()}
		return n, fixed("nack.session", n.Session[:], m.Nack.GetSession())
	case *proto.ReplicateResponse_Return:
		r := &replica.Return{Start: m.Return.GetStart(), Payloads: m.Return.GetPayloads(), Checkpoint: m.Return.GetCheckpoint()}
		if n := len(r.Payloads); n > replica.MaxEntries {
			return nil, fieldError("return.payloads", "there are %d, at most %d are allowed", n, replica.MaxEntries)
		}
		return r, fixed("return.session", r.Session[:], m.Return.GetSession())
	case *proto.ReplicateResponse_Grant:
		g := &replica.Grant{Number: m.Grant.GetNumber()}
		var err error
		if g.Envelope, err = proto.EnvelopeFromProto(m.Grant.GetEnvelope()); err != nil {
			return nil, fmt.Errorf("grant.envelope: %w", err)
		}
		return g, fixed("grant.session", g.Session[:], m.Grant.GetSession())
	case *proto.ReplicateResponse_Control:
		return controlFromProto(m.Control)
	case *proto.ReplicateResponse_Refuse:
		return refuseFromProto(m.Refuse)
	}
	return nil, fieldError("message", "is none that this version knows: run the same release on both nodes")
}

// controlFromProto reads what the parent asks for.
func controlFromProto(m *proto.Control) (replica.Message, error) {
	c := &replica.Control{Detail: proto.Cut(m.GetDetail(), replica.MaxDetail), After: time.Duration(m.GetAfterMs()) * time.Millisecond}
	order := m.GetOrder()
	if order < proto.Control_ORDER_PAUSE || order > proto.Control_ORDER_DRAIN {
		return nil, fieldError("control.order", "%d is none that this version knows: run the same release on both nodes", order)
	}
	c.Order = replica.Order(order)
	return c, fixed("control.session", c.Session[:], m.GetSession())
}

func welcomeFromProto(m *proto.Welcome) (replica.Message, error) {
	if p := m.GetPolicy(); p > uint32(identifier.PolicyWitness) {
		return nil, fieldError("welcome.policy", "%d is none that this version knows: run the same release on both nodes", p)
	}
	w := &replica.Welcome{Policy: identifier.Policy(m.GetPolicy()), Held: m.GetHeld(), Checkpoint: m.GetCheckpoint(), Credit: m.GetCredit(), Signature: m.GetSignature()}
	var err error
	if w.Parent, err = proto.KeyFromProto(m.GetParent()); err != nil {
		return nil, fmt.Errorf("welcome.parent: %w", err)
	}
	if w.Fence.Size = m.GetFenceSize(); w.Fence.Size > 0 || len(m.GetFenceRoot()) > 0 {
		if err := fixed("welcome.fence_root", w.Fence.Root[:], m.GetFenceRoot()); err != nil {
			return nil, err
		}
	}
	return w, errors.Join(
		fixed("welcome.parent_log", w.ParentLog[:], m.GetParentLog()),
		fixed("welcome.session", w.Session[:], m.GetSession()),
		fixed("welcome.nonce", w.Nonce[:], m.GetNonce()),
	)
}

func refuseToProto(m *replica.Refuse) *proto.Refuse {
	r := &proto.Refuse{Reason: proto.Refuse_Reason(m.Reason), Detail: proto.Cut(m.Detail, replica.MaxDetail), Evidence: m.Evidence, Signed: m.Signed}
	if m.Nonce != (replica.Nonce{}) {
		r.Nonce = m.Nonce[:]
	}
	if len(m.Proof) > 0 {
		r.Root = m.Root[:]
	}
	r.Proof = proofToProto(m.Proof)
	return r
}

func fenceRootToProto(f replica.Fence) []byte {
	if f.Size == 0 {
		return nil
	}
	return f.Root[:]
}

func proofToProto(proof []identifier.Hash) (hashes [][]byte) {
	for i := range proof {
		hashes = append(hashes, proof[i][:])
	}
	return hashes
}

// proofFromProto reads the hashes of a consistency proof.
func proofFromProto(field string, hashes [][]byte) (proof []identifier.Hash, err error) {
	if n := len(hashes); n > replica.MaxProof {
		return nil, fieldError(field, "there are %d hashes, at most %d are allowed", n, replica.MaxProof)
	}
	for _, hash := range hashes {
		var h identifier.Hash
		if err := fixed(field, h[:], hash); err != nil {
			return nil, err
		}
		proof = append(proof, h)
	}
	return proof, nil
}

// refuseFromProto reads why the other side will not go on. A reason that is unknown
// here is one all the same.
func refuseFromProto(m *proto.Refuse) (replica.Message, error) {
	r := &replica.Refuse{Reason: replica.Unavailable, Detail: proto.Cut(m.GetDetail(), replica.MaxDetail), Evidence: m.GetEvidence(), Signed: m.GetSigned()}
	if reason := m.GetReason(); reason >= proto.Refuse_REASON_PROTOCOL && reason <= proto.Refuse_REASON_UNPROVED {
		r.Reason = replica.Reason(reason)
	}
	if len(r.Evidence) > replica.MaxCheckpoint {
		return nil, fieldError("refuse.evidence", "has %d octets, at most %d are allowed", len(r.Evidence), replica.MaxCheckpoint)
	}
	if len(r.Signed) > replica.MaxCheckpoint {
		return nil, fieldError("refuse.signed", "has %d octets, at most %d are allowed", len(r.Signed), replica.MaxCheckpoint)
	}
	var err error
	if r.Proof, err = proofFromProto("refuse.proof", m.GetProof()); err != nil {
		return nil, err
	}
	if len(r.Proof) > 0 {
		if err := fixed("refuse.root", r.Root[:], m.GetRoot()); err != nil {
			return nil, err
		}
	}
	if len(m.GetNonce()) == 0 {
		return r, nil
	}
	return r, fixed("refuse.nonce", r.Nonce[:], m.GetNonce())
}

// fixed fills a field whose size is fixed.
func fixed(field string, dst, src []byte) error {
	if len(src) != len(dst) {
		return fieldError(field, "has %d octets, not %d", len(src), len(dst))
	}
	copy(dst, src)
	return nil
}

func fieldError(field, format string, args ...any) error {
	return &proto.FieldError{Field: field, Err: fmt.Errorf(format, args...)}
}
