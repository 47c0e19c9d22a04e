package main

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

func newStatus() *cobra.Command {
	var server target
	var timeout time.Duration
	var asJSON bool
	c := &cobra.Command{
		Use:     "status",
		Short:   "Tell how a node is",
		Example: "  nameplate status\n  nameplate status --server grpc://192.0.2.1:2640 --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			node, err := server.dial()
			if err != nil {
				return err
			}
			defer node.Close()
			return within(c.Context(), timeout, func(ctx context.Context) error {
				s, err := node.registry.Status(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(c.OutOrStdout(), newNodeStatus(&s))
				}
				return printStatus(c.OutOrStdout(), node.server, &s)
			})
		},
	}
	serverFlag(c, &server)
	timeoutFlag(c, &timeout)
	jsonFlag(c, &asJSON)
	return c
}

// nodeStatus is a status as --json shows it.
type nodeStatus struct {
	Name        string               `json:"name"`
	Version     string               `json:"version"`
	Uptime      int64                `json:"uptime"` // seconds
	Key         identifier.PublicKey `json:"key"`
	Log         string               `json:"log"`
	Position    uint64               `json:"position"` // entries, all synced
	Level       string               `json:"level"`
	ReadOnly    string               `json:"readOnly,omitempty"`
	Marked      string               `json:"marked,omitempty"`  // why entries of the log may be missing
	DiskLow     string               `json:"diskLow,omitempty"` // why nothing is taken for want of room
	Apexes      []identifier.Prefix  `json:"apexes"`
	Identifiers uint64               `json:"identifiers"`
	Withdrawn   uint64               `json:"withdrawn"`
	Delegations uint64               `json:"delegations"`
	Synced      uint64               `json:"synced"`  // journal offset
	Applied     uint64               `json:"applied"` // journal offset
	StateBytes  int64                `json:"stateBytes"`
	Checkpoint  shownCheckpoint      `json:"checkpoint"`
	Anchored    uint64               `json:"anchored"` // entries that have reached these levels
	Rooted      uint64               `json:"rooted"`
	Cosigned    string               `json:"cosigned,omitempty"` // the newest checkpoint that the level above has
	Upstream    *shownUpstream       `json:"upstream,omitempty"`
	Peers       []shownPeer          `json:"peers,omitempty"`
	Fork        *shownFork           `json:"fork,omitempty"` // of the node's own log
	Continues   *shownPredecessor    `json:"continues,omitempty"`
	Mirrors     []shownMirror        `json:"mirrors,omitempty"`
	Suspect     []shownSuspicion     `json:"suspect,omitempty"` // of its log and the mirrors
}

type shownUpstream struct {
	Address      string `json:"address"`
	Connected    bool   `json:"connected"`
	Acknowledged uint64 `json:"acknowledged"` // entries
	Lag          uint64 `json:"lag"`          // entries that the parent has not
	Reason       string `json:"reason,omitempty"`
	// Behind is for how many seconds the parent has not had everything.
	Behind float64 `json:"behind"`
	// Anchored is how many entries it acknowledges for anchoring.
	Anchored uint64 `json:"anchored"`
	// Lost is how many entries the parent acknowledged once, while it has fewer.
	Lost uint64 `json:"lost,omitempty"`
	// Paused is why it takes in no more for now.
	Paused string `json:"paused,omitempty"`
	// Policy is what it keeps of the log, while it is connected: mirror, pointer or witness.
	Policy string `json:"policy,omitempty"`
}

// shownPeer is another top-level node, with this one's log there and those of its
// children.
type shownPeer struct {
	Name string               `json:"name"`
	Key  identifier.PublicKey `json:"key"`
	shownUpstream
	Relays []shownRelay `json:"relays"`
}

type shownRelay struct {
	Log          string `json:"log"`
	Connected    bool   `json:"connected"`
	Acknowledged uint64 `json:"acknowledged"`
	Lag          uint64 `json:"lag"`
}

func newShownUpstream(u *registryrpc.Upstream, position uint64) shownUpstream {
	return shownUpstream{
		Address: u.Address, Connected: u.Connected, Acknowledged: u.Acknowledged, Reason: u.Reason, Lost: u.Lost,
		Lag: position - min(u.Acknowledged, position), Behind: u.Behind.Seconds(), Anchored: u.Anchored, Paused: u.Paused, Policy: u.Policy,
	}
}

type shownMirror struct {
	Node        identifier.PublicKey `json:"node"`
	Log         string               `json:"log"`
	Size        uint64               `json:"size"`
	Root        string               `json:"root"`
	Lag         uint64               `json:"lag"` // entries that the child has more, as far as it has said
	Bad         uint64               `json:"bad"`
	Age         float64              `json:"age"` // seconds
	Identifiers uint64               `json:"identifiers"`
	Role        string               `json:"role"`   // child, peer or relayed
	Policy      string               `json:"policy"` // mirror, pointer or witness
	// Next is the policy by which it is being kept anew, with NextSize entries so far.
	Next     string `json:"nextPolicy,omitempty"`
	NextSize uint64 `json:"nextSize,omitempty"`
	Cosigned uint64 `json:"cosigned"` // entries under the newest checkpoint that was cosigned
	// Lost is how many entries were acknowledged once, while there are fewer.
	Lost uint64 `json:"lost,omitempty"`
	// Uncertain is how many entries, the last ones, are not known to be of the log of its
	// owner, because the node was restored.
	Uncertain uint64       `json:"uncertain,omitempty"`
	Fences    []shownFence `json:"fences,omitempty"`
	Fork      *shownFork   `json:"fork,omitempty"`
	// Counts says that this is the log of its node that counts.
	Counts    bool              `json:"counts"`
	Continues *shownPredecessor `json:"continues,omitempty"`
}

// shownFence is a delegation by which a log is judged from an entry on, though it does not
// show it.
type shownFence struct {
	From     uint64            `json:"from"` // the first entry that is judged by it
	Since    time.Time         `json:"since,omitzero"`
	Position uint64            `json:"position"` // in the node's own log
	Prefix   identifier.Prefix `json:"prefix"`
	Epoch    uint64            `json:"epoch"`
	Keyset   uint64            `json:"keyset"` // its version
	Revoked  bool              `json:"revoked,omitempty"`
}

func newShownFences(fences []registry.FenceStatus) (shown []shownFence) {
	for _, f := range fences {
		shown = append(shown, shownFence{From: f.Size, Since: f.Since, Position: f.Position, Prefix: f.Prefix, Epoch: f.Epoch, Keyset: f.Keyset, Revoked: f.Revoked})
	}
	return shown
}

type shownCheckpoint struct {
	Size uint64    `json:"size"`
	Root string    `json:"root"`
	Time time.Time `json:"time,omitzero"`
	Note string    `json:"note,omitempty"`
}

func newNodeStatus(s *registryrpc.Status) nodeStatus {
	shown := nodeStatus{
		Name: s.Name, Version: s.Version, Uptime: int64(s.Uptime.Seconds()), Key: s.Key,
		Log: s.Log.String(), Position: s.Position, Level: s.Level.String(), ReadOnly: s.ReadOnly, Marked: s.Marked, DiskLow: s.DiskLow, Apexes: s.Apexes,
		Identifiers: s.Identifiers, Withdrawn: s.Withdrawn, Delegations: s.Delegations,
		Synced: s.Synced, Applied: s.Applied, StateBytes: s.StateBytes,
		Checkpoint: shownCheckpoint{
			Size: s.Checkpoint.Size, Root: hex.EncodeToString(s.Checkpoint.Root[:]),
			Time: s.Checkpoint.Time.UTC(), Note: string(s.Checkpoint.Note),
		},
	}
	if u := s.Upstream; u != nil {
		up := newShownUpstream(u, s.Position)
		shown.Upstream = &up
	}
	shown.Anchored, shown.Rooted, shown.Cosigned = s.Anchored, s.Rooted, string(s.Receipt)
	for i := range s.Peers {
		p := &s.Peers[i]
		peer := shownPeer{Name: p.Name, Key: p.Key, shownUpstream: newShownUpstream(&p.Upstream, s.Position), Relays: []shownRelay{}}
		for _, r := range p.Relays {
			peer.Relays = append(peer.Relays, shownRelay{Log: r.Log.String(), Connected: r.Connected, Acknowledged: r.Acknowledged, Lag: r.Size - min(r.Acknowledged, r.Size)})
		}
		shown.Peers = append(shown.Peers, peer)
	}
	shown.Continues = newShownPredecessor(s.After)
	if s.Quarantine != nil {
		f := newShownFork(fork{Quarantine: s.Quarantine, own: true})
		shown.Fork = &f
	}
	for _, x := range s.Suspicions {
		shown.Suspect = append(shown.Suspect, shownSuspicion{Log: x.Log.String(), Prefix: x.Prefix, Since: x.Since, Until: x.Until})
	}
	for _, m := range s.Mirrors {
		var forked *shownFork
		if m.Quarantine != nil {
			f := newShownFork(fork{Quarantine: m.Quarantine, next: successorOf(s, m.Log)})
			forked = &f
		}
		shown.Mirrors = append(shown.Mirrors, shownMirror{
			Lost: m.Lost, Uncertain: m.Uncertain, Fences: newShownFences(m.Fences), Fork: forked, Role: m.Role, Policy: m.Policy, Next: m.Next, NextSize: m.NextSize, Cosigned: m.Cosigned,
			Node: m.Node, Log: m.Log.String(), Size: m.Size, Root: hex.EncodeToString(m.Root[:]),
			Lag: m.Told - min(m.Size, m.Told), Bad: m.Bad, Age: m.Age.Seconds(), Identifiers: m.Identifiers,
			Counts: m.Counts, Continues: newShownPredecessor(m.After),
		})
	}
	return shown
}
