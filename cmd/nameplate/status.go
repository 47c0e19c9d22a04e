package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

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
				return printStatus(c, node.server, &s)
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
	Lost uint64     `json:"lost,omitempty"`
	Fork *shownFork `json:"fork,omitempty"`
	// Counts says that this is the log of its node that counts.
	Counts    bool              `json:"counts"`
	Continues *shownPredecessor `json:"continues,omitempty"`
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
		Log: s.Log.String(), Position: s.Position, Level: s.Level.String(), ReadOnly: s.ReadOnly, DiskLow: s.DiskLow, Apexes: s.Apexes,
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
			Lost: m.Lost, Fork: forked, Role: m.Role, Policy: m.Policy, Next: m.Next, NextSize: m.NextSize, Cosigned: m.Cosigned,
			Node: m.Node, Log: m.Log.String(), Size: m.Size, Root: hex.EncodeToString(m.Root[:]),
			Lag: m.Told - min(m.Size, m.Told), Bad: m.Bad, Age: m.Age.Seconds(), Identifiers: m.Identifiers,
			Counts: m.Counts, Continues: newShownPredecessor(m.After),
		})
	}
	return shown
}

func printStatus(c *cobra.Command, server string, s *registryrpc.Status) error {
	t := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("node", "%s at %s, version %s, up %v", s.Name, server, s.Version, s.Uptime)
	line("key", "%s", s.Key)
	var apexes []string
	for _, p := range s.Apexes {
		if p == "" {
			p = "the root"
		}
		apexes = append(apexes, string(p))
	}
	line("answers for", "%s", strings.Join(apexes, ", "))
	line("identifiers", "%s, and %s withdrawn", thousands(int(s.Identifiers)), thousands(int(s.Withdrawn)))
	line("delegations", "%s", thousands(int(s.Delegations)))
	line("log", "%s, %s entries", s.Log, thousands(int(s.Position)))
	line("checkpoint", "%s entries, root %x, signed %s", thousands(int(s.Checkpoint.Size)), s.Checkpoint.Root, s.Checkpoint.Time.UTC().Format(time.RFC3339))
	line("level", "%s", s.Level)
	line("anchored", "%s entries, and %s rooted", thousands(int(s.Anchored)), thousands(int(s.Rooted)))
	line("journal", "%s on disk, %s of it not in the state yet", octets(s.Synced), octets(s.Synced-min(s.Applied, s.Synced)))
	line("state", "%s", octets(uint64(max(0, s.StateBytes))))
	if u := s.Upstream; u != nil {
		how := "connected"
		if !u.Connected {
			how = "not connected: " + u.Reason
		} else if u.Paused != "" {
			how = "waits: " + u.Paused
		}
		if u.Policy != "" {
			how += ", policy " + u.Policy
		}
		line("parent", "%s, %s entries and %v behind, %s", u.Address, thousands(int(s.Position-min(u.Acknowledged, s.Position))), u.Behind.Round(time.Second), how)
		if u.Lost > 0 {
			line("regressed", "the parent acknowledged %s entries and has %s: it was restored, and gets the rest again", thousands(int(u.Lost)), thousands(int(u.Acknowledged)))
		}
	}
	for i := range s.Peers {
		p := &s.Peers[i]
		how := "connected"
		if !p.Connected {
			how = "not connected: " + p.Reason
		}
		have := 0
		for _, r := range p.Relays {
			if r.Acknowledged >= r.Size {
				have++
			}
		}
		line("peer", "%s at %s, %s entries and %v behind, has %d of %d children's logs whole, %s", p.Name, p.Address,
			thousands(int(s.Position-min(p.Acknowledged, s.Position))), p.Behind.Round(time.Second), have, len(p.Relays), how)
	}
	for _, m := range s.Mirrors {
		if !m.Counts {
			continue // told below
		}
		if m.Role != "" && m.Role != "child" {
			line(m.Role, "log %s: %s entries, %s behind, %s marked bad, %v old, %s identifiers", m.Log, thousands(int(m.Size)),
				thousands(int(m.Told-min(m.Size, m.Told))), thousands(int(m.Bad)), m.Age.Round(time.Second), thousands(int(m.Identifiers)))
			continue
		}
		if m.Policy == identifier.PolicyWitness.String() {
			line("witness", "of log %s: a checkpoint of %s entries, %s behind, %s cosigned, %v old, policy %s", m.Log, thousands(int(m.Size)),
				thousands(int(m.Told-min(m.Size, m.Told))), thousands(int(m.Cosigned)), m.Age.Round(time.Second), m.Policy)
		} else {
			line("mirror", "of log %s: %s entries, %s behind, %s cosigned, %s marked bad, %v old, %s identifiers, policy %s", m.Log, thousands(int(m.Size)),
				thousands(int(m.Told-min(m.Size, m.Told))), thousands(int(m.Cosigned)), thousands(int(m.Bad)), m.Age.Round(time.Second), thousands(int(m.Identifiers)), m.Policy)
		}
		if m.Next != "" {
			line("policy", "of log %s: it is being kept as %s from now on, %s of %s entries so far", m.Log, m.Next, thousands(int(m.NextSize)), thousands(int(m.Size)))
		}
		if m.Lost > 0 {
			line("regressed", "%s entries of log %s were acknowledged and %s are here: this node was restored, and gets the rest again", thousands(int(m.Lost)), m.Log, thousands(int(m.Size)))
		}
		if q := m.Quarantine; q != nil {
			line("quarantine", "log %s, since %s: two histories of its first %s entries were signed: run 'nameplate fork show'", m.Log, q.Since.UTC().Format(time.RFC3339), thousands(int(q.Size)))
		}
	}
	for _, x := range s.Suspicions {
		line("suspect", "entries %d to %d of log %s, prefix %s: a key was in the wrong hands", x.Since, x.Until-1, x.Log, x.Prefix)
	}
	if a := s.After; a != nil {
		line("continues", "log %s, after: %s; 'nameplate fork show' tells more", a.Log, a.Why)
	}
	for _, m := range s.Mirrors {
		if next := successorOf(s, m.Log); next != nil {
			line("continued", "log %s of node %s, %s entries, as log %s, after: %s", m.Log, m.Node, thousands(int(m.Size)), next.Log, next.After.Why)
		} else if !m.Counts {
			line("announced", "log %s of node %s, %s entries: it does not count yet", m.Log, m.Node, thousands(int(m.Size)))
		}
	}
	if s.ReadOnly != "" {
		line("read-only", "%s", s.ReadOnly)
	}
	if s.DiskLow != "" {
		line("disk low", "%s", s.DiskLow)
	}
	return t.Flush()
}

// octets writes a size for people.
func octets(n uint64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	size, unit := float64(n), 0
	for size >= 1000 && unit < len(units)-1 {
		size, unit = size/1000, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}
