package rpc

import (
	"time"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Status is how a node is: its registry, and the process around it.
type Status struct {
	registry.Status
	// Name is what the operator calls the node, Version that of its software.
	Name, Version string
	Uptime        time.Duration // in whole seconds
	Mirrors       []registry.MirrorStatus
	Upstream      *Upstream // nil at a node without a parent
	Peers         []PeerStatus
}

// PeerStatus tells how far another top-level node has this one's logs.
type PeerStatus struct {
	Name string
	Key  identifier.PublicKey
	Upstream
	Relays []RelayStatus // the logs of this node's children, there
}

// RelayStatus tells how far another top-level node has the log of a child of this one.
type RelayStatus struct {
	Log                identifier.LogID
	Connected          bool
	Size, Acknowledged uint64
}

// Upstream tells how far a node's parent has its log.
type Upstream struct {
	Address      string
	Connected    bool
	Acknowledged uint64 // entries on the parent's disk, as far as it has said
	Reason       string // why there is no connection; empty when there is
	// Lost is how many entries the parent acknowledged once, while it has fewer: it was
	// restored. 0 when it has them.
	Lost uint64
	// Behind is for how long it has not had everything; 0 when it has. Anchored is how many
	// entries it acknowledges for anchoring.
	Behind   time.Duration
	Anchored uint64
	// Paused is why the parent takes in no more for now; empty when it does.
	Paused string
	// Policy is what the parent keeps of the log, while it is connected; else empty.
	Policy string
}

func upstreamToProto(u *Upstream) *proto.UpstreamStatus {
	if u == nil {
		return nil
	}
	return &proto.UpstreamStatus{
		Address: u.Address, Connected: u.Connected, Acknowledged: u.Acknowledged, Reason: u.Reason, Lost: u.Lost,
		BehindMs: u.Behind.Milliseconds(), Anchored: u.Anchored, Paused: u.Paused, Policy: u.Policy,
	}
}

func upstreamFromProto(m *proto.UpstreamStatus) *Upstream {
	if m == nil {
		return nil
	}
	return &Upstream{
		Address: m.GetAddress(), Connected: m.GetConnected(), Acknowledged: m.GetAcknowledged(), Reason: m.GetReason(), Lost: m.GetLost(),
		Behind: milliseconds64(m.GetBehindMs()), Anchored: m.GetAnchored(), Paused: m.GetPaused(), Policy: m.GetPolicy(),
	}
}

// milliseconds64 reads a time that another node says.
func milliseconds64(ms int64) time.Duration {
	return time.Duration(min(max(0, ms), maxUptime*1000)) * time.Millisecond
}

func peersToProto(peers []PeerStatus) (all []*proto.PeerStatus) {
	for i := range peers {
		p := &peers[i]
		m := &proto.PeerStatus{Name: p.Name, Key: proto.KeyToProto(p.Key), Upstream: upstreamToProto(&p.Upstream)}
		for _, r := range p.Relays {
			m.Relays = append(m.Relays, &proto.RelayStatus{Log: proto.LogToProto(r.Log), Connected: r.Connected, Size: r.Size, Acknowledged: r.Acknowledged})
		}
		all = append(all, m)
	}
	return all
}

func peersFromProto(messages []*proto.PeerStatus) (all []PeerStatus, err error) {
	for _, m := range messages {
		p := PeerStatus{Name: m.GetName()}
		if p.Key, err = proto.KeyFromProto(m.GetKey()); err != nil {
			return nil, err
		}
		if u := upstreamFromProto(m.GetUpstream()); u != nil {
			p.Upstream = *u
		}
		for _, r := range m.GetRelays() {
			log, err := proto.LogFromProto(r.GetLog())
			if err != nil {
				return nil, err
			}
			p.Relays = append(p.Relays, RelayStatus{Log: log, Connected: r.GetConnected(), Size: r.GetSize(), Acknowledged: r.GetAcknowledged()})
		}
		all = append(all, p)
	}
	return all, nil
}

// levels have the same numbers on the wire.
func levelToProto(l registry.Level) proto.Level { return proto.Level(l) }

// levelFromProto reads a level; one that is unknown here is not more than local.
func levelFromProto(l proto.Level) registry.Level {
	if l < proto.Level_LEVEL_LOCAL || l > proto.Level_LEVEL_ROOTED {
		return registry.Local
	}
	return registry.Level(l)
}

func receiptToProto(r registry.Receipt) *proto.Receipt {
	return &proto.Receipt{Log: proto.LogToProto(r.Log), Position: r.Position, Level: levelToProto(r.Level), Duplicate: r.Duplicate}
}

func receiptFromProto(m *proto.Receipt) (registry.Receipt, error) {
	log, err := proto.LogFromProto(m.GetLog())
	if err != nil {
		return registry.Receipt{}, err
	}
	return registry.Receipt{Log: log, Position: m.GetPosition(), Level: levelFromProto(m.GetLevel()), Duplicate: m.GetDuplicate()}, nil
}

func statusToProto(s *Status) *proto.StatusResponse {
	m := &proto.StatusResponse{
		Name: s.Name, Version: s.Version, UptimeS: uint64(s.Uptime / time.Second),
		Key: proto.KeyToProto(s.Key), Log: proto.LogToProto(s.Log), Position: s.Position,
		Synced: s.Synced, Applied: s.Applied,
		Identifiers: s.Identifiers, Withdrawn: s.Withdrawn, Delegations: s.Delegations,
		Checkpoint: &proto.Checkpoint{
			Size: s.Checkpoint.Size, Root: proto.HashToProto(s.Checkpoint.Root),
			TimeMs: s.Checkpoint.Time.UnixMilli(), Note: s.Checkpoint.Note,
		},
		Level: levelToProto(s.Level), ReadOnly: s.ReadOnly, StateBytes: uint64(max(0, s.StateBytes)),
		Quarantine: quarantineToProto(s.Quarantine), DiskLow: s.DiskLow, Marked: s.Marked,
		Anchored: s.Anchored, Rooted: s.Rooted, Cosigned: s.Receipt, Peers: peersToProto(s.Peers), Upstream: upstreamToProto(s.Upstream),
	}
	m.After = predecessorToProto(s.After)
	if x := s.Resolution; x != nil {
		m.Handed, m.HandedFile = x.Handed, x.File
	}
	for _, p := range s.Apexes {
		m.Apexes = append(m.Apexes, string(p))
	}
	for _, x := range s.Suspicions {
		m.Suspicions = append(m.Suspicions, &proto.SuspectStatus{Log: proto.LogToProto(x.Log), Prefix: string(x.Prefix), Since: x.Since, Until: x.Until})
	}
	for _, x := range s.Mirrors {
		m.Mirrors = append(m.Mirrors, &proto.MirrorStatus{
			Node: proto.KeyToProto(x.Node), Log: proto.LogToProto(x.Log), Size: x.Size, Root: proto.HashToProto(x.Root),
			Told: x.Told, Bad: x.Bad, AgeMs: x.Age.Milliseconds(), Identifiers: x.Identifiers,
			Lost: x.Lost, Quarantine: quarantineToProto(x.Quarantine), Role: x.Role, Policy: x.Policy, NextPolicy: x.Next, NextSize: x.NextSize, Cosigned: x.Cosigned,
			Counts: x.Counts, After: predecessorToProto(x.After), Uncertain: x.Uncertain, Fences: fencesToProto(x.Fences),
		})
	}
	return m
}

func statusFromProto(m *proto.StatusResponse) (Status, error) {
	checkpoint := m.GetCheckpoint()
	s := Status{
		Name: m.GetName(), Version: m.GetVersion(), Uptime: time.Duration(min(m.GetUptimeS(), maxUptime)) * time.Second,
		Status: registry.Status{
			Position: m.GetPosition(), Synced: m.GetSynced(), Applied: m.GetApplied(),
			Identifiers: m.GetIdentifiers(), Withdrawn: m.GetWithdrawn(), Delegations: m.GetDelegations(),
			Checkpoint: registry.Checkpoint{Size: checkpoint.GetSize(), Time: time.UnixMilli(checkpoint.GetTimeMs()).UTC(), Note: checkpoint.GetNote()},
			Level:      levelFromProto(m.GetLevel()), ReadOnly: m.GetReadOnly(), Marked: m.GetMarked(), DiskLow: m.GetDiskLow(), StateBytes: int64(m.GetStateBytes()),
			Anchored: m.GetAnchored(), Rooted: m.GetRooted(), Receipt: m.GetCosigned(),
		},
	}
	var err error
	if s.Key, err = proto.KeyFromProto(m.GetKey()); err != nil {
		return Status{}, err
	}
	if s.Log, err = proto.LogFromProto(m.GetLog()); err != nil {
		return Status{}, err
	}
	if s.Quarantine, err = quarantineFromProto(m.GetQuarantine()); err != nil {
		return Status{}, err
	}
	if s.Checkpoint.Root, err = proto.HashFromProto("checkpoint.root", checkpoint.GetRoot()); err != nil {
		return Status{}, err
	}
	if s.Apexes, err = apexesFromProto(m.GetApexes()); err != nil {
		return Status{}, err
	}
	for _, x := range m.GetMirrors() {
		mirror, err := mirrorFromProto(x)
		if err != nil {
			return Status{}, err
		}
		s.Mirrors = append(s.Mirrors, mirror)
	}
	if s.Suspicions, err = suspicionsFromProto(m.GetSuspicions()); err != nil {
		return Status{}, err
	}
	if s.After, err = predecessorFromProto(m.GetAfter()); err != nil {
		return Status{}, err
	}
	if m.GetHanded() > 0 || m.GetHandedFile() != "" {
		s.Resolution = &registry.Resolution{Handed: m.GetHanded(), File: m.GetHandedFile()}
	}
	s.Upstream = upstreamFromProto(m.GetUpstream())
	if s.Peers, err = peersFromProto(m.GetPeers()); err != nil {
		return Status{}, err
	}
	return s, nil
}

func apexesFromProto(texts []string) (all []identifier.Prefix, err error) {
	for _, text := range texts {
		prefix, err := proto.PrefixFromProto(text)
		if err != nil {
			return nil, err
		}
		all = append(all, prefix)
	}
	return all, nil
}

func suspicionsFromProto(messages []*proto.SuspectStatus) (all []registry.Suspicion, err error) {
	for _, m := range messages {
		s := registry.Suspicion{Since: m.GetSince(), Until: m.GetUntil()}
		if s.Log, err = proto.LogFromProto(m.GetLog()); err != nil {
			return nil, err
		}
		if s.Prefix, err = proto.PrefixFromProto(m.GetPrefix()); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func mirrorFromProto(m *proto.MirrorStatus) (registry.MirrorStatus, error) {
	s := registry.MirrorStatus{
		Size: m.GetSize(), Told: m.GetTold(), Bad: m.GetBad(), Identifiers: m.GetIdentifiers(), Lost: m.GetLost(),
		Age:  time.Duration(min(max(0, m.GetAgeMs()), maxUptime*1000)) * time.Millisecond,
		Role: m.GetRole(), Policy: m.GetPolicy(), Next: m.GetNextPolicy(), NextSize: m.GetNextSize(), Cosigned: m.GetCosigned(), Counts: m.GetCounts(),
		Uncertain: m.GetUncertain(),
	}
	var err error
	if s.Fences, err = fencesFromProto(m.GetFences()); err != nil {
		return s, err
	}
	if s.Node, err = proto.KeyFromProto(m.GetNode()); err != nil {
		return s, err
	}
	if s.Log, err = proto.LogFromProto(m.GetLog()); err != nil {
		return s, err
	}
	if s.Quarantine, err = quarantineFromProto(m.GetQuarantine()); err != nil {
		return s, err
	}
	if s.After, err = predecessorFromProto(m.GetAfter()); err != nil {
		return s, err
	}
	s.Root, err = proto.HashFromProto("mirror.root", m.GetRoot())
	return s, err
}

func fencesToProto(fences []registry.FenceStatus) (all []*proto.FenceStatus) {
	for _, f := range fences {
		m := &proto.FenceStatus{Size: f.Size, Position: f.Position, Prefix: string(f.Prefix), Epoch: f.Epoch, Keyset: f.Keyset, Revoked: f.Revoked}
		if !f.Since.IsZero() {
			m.SinceMs = f.Since.UnixMilli()
		}
		all = append(all, m)
	}
	return all
}

func fencesFromProto(messages []*proto.FenceStatus) (all []registry.FenceStatus, err error) {
	for _, m := range messages {
		f := registry.FenceStatus{Size: m.GetSize(), Position: m.GetPosition(), Epoch: m.GetEpoch(), Keyset: m.GetKeyset(), Revoked: m.GetRevoked()}
		if ms := m.GetSinceMs(); ms != 0 {
			f.Since = time.UnixMilli(ms).UTC()
		}
		if f.Prefix, err = proto.PrefixFromProto(m.GetPrefix()); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// mostBefore is how many further logs are told of that a log continues.
const mostBefore = 16

func predecessorToProto(a *identifier.Predecessor) *proto.Predecessor {
	if a == nil {
		return nil
	}
	told := min(len(a.Before), mostBefore)
	return &proto.Predecessor{
		Log: proto.LogToProto(a.Log), Why: uint32(a.Why), Size: a.Size, Held: proto.HashToProto(a.Held), Own: proto.HashToProto(a.Own), Base: a.Base,
		Before: logsToProto(a.Before[:told]), Whole: a.Whole && told == len(a.Before),
	}
}

func predecessorFromProto(m *proto.Predecessor) (*identifier.Predecessor, error) {
	if m == nil {
		return nil, nil
	}
	a := &identifier.Predecessor{Why: identifier.Succession(m.GetWhy()), Size: m.GetSize(), Base: m.GetBase(), Whole: m.GetWhole()}
	var err error
	if a.Log, err = proto.LogFromProto(m.GetLog()); err != nil {
		return nil, err
	}
	if a.Before, err = logsFromProto("after.before", m.GetBefore()); err != nil {
		return nil, err
	}
	if a.Held, err = proto.HashFromProto("after.held", m.GetHeld()); err != nil {
		return nil, err
	}
	a.Own, err = proto.HashFromProto("after.own", m.GetOwn())
	return a, err
}

func quarantineToProto(q *registry.Quarantine) *proto.Quarantine {
	if q == nil {
		return nil
	}
	return &proto.Quarantine{SinceMs: q.Since.UnixMilli(), Evidence: replica.AppendEvidence(nil, q.Evidence)}
}

// quarantineFromProto reads why a log was set aside. The evidence is checked: no node is
// believed that has none.
func quarantineFromProto(m *proto.Quarantine) (*registry.Quarantine, error) {
	if m == nil {
		return nil, nil
	}
	e, err := replica.ParseEvidence(m.GetEvidence())
	if err == nil {
		var q *registry.Quarantine
		if q, err = registry.NewQuarantine(time.UnixMilli(m.GetSinceMs()).UTC(), e); err == nil {
			return q, nil
		}
	}
	return nil, fieldError("quarantine.evidence", "%w", err)
}

// maxUptime keeps what another node says within what can be calculated with, in
// seconds.
const maxUptime = 100 * 365 * 86400

// Progress tells a watcher how far it has got.
type Progress struct {
	Log identifier.LogID
	// Everything before Next was passed on. Size is how many entries the log has.
	Next, Size uint64
}

func progressFromProto(m *proto.Progress) (Progress, error) {
	log, err := proto.LogFromProto(m.GetLog())
	return Progress{Log: log, Next: m.GetNext(), Size: m.GetSize()}, err
}
