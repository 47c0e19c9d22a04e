package rpc

import (
	"time"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Status is how a node is: its registry, and the process around it.
type Status struct {
	registry.Status
	// Name is what the operator calls the node, Version that of its software.
	Name, Version string
	Uptime        time.Duration // in whole seconds
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
	}
	for _, p := range s.Apexes {
		m.Apexes = append(m.Apexes, string(p))
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
			Level:      levelFromProto(m.GetLevel()), ReadOnly: m.GetReadOnly(), StateBytes: int64(m.GetStateBytes()),
		},
	}
	var err error
	if s.Key, err = proto.KeyFromProto(m.GetKey()); err != nil {
		return Status{}, err
	}
	if s.Log, err = proto.LogFromProto(m.GetLog()); err != nil {
		return Status{}, err
	}
	if s.Checkpoint.Root, err = proto.HashFromProto("checkpoint.root", checkpoint.GetRoot()); err != nil {
		return Status{}, err
	}
	for _, text := range m.GetApexes() {
		prefix, err := proto.PrefixFromProto(text)
		if err != nil {
			return Status{}, err
		}
		s.Apexes = append(s.Apexes, prefix)
	}
	return s, nil
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
