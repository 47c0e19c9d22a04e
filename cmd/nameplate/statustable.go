package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// statusTable is a status for people: a line for each thing, its name in front.
type statusTable struct{ *tabwriter.Writer }

func (t statusTable) line(name, format string, args ...any) {
	fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
}

func printStatus(w io.Writer, server string, s *registryrpc.Status) error {
	t := statusTable{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.node(server, s)
	if s.Upstream != nil {
		t.parent(s.Upstream, s.Position)
	}
	for i := range s.Peers {
		t.peer(&s.Peers[i], s.Position)
	}
	for i := range s.Mirrors {
		if s.Mirrors[i].Counts { // the others are told of below
			t.mirror(&s.Mirrors[i], s.Marked != "")
		}
	}
	t.lines(s)
	if s.Marked != "" {
		held := ""
		if u := s.Upstream; u != nil && u.Acknowledged > s.Position {
			held = fmt.Sprintf(", and the parent holds %s", thousands(int(u.Acknowledged)))
		}
		t.line("not certain", "whether more entries of this node's own log were acknowledged than the %s that are here%s", thousands(int(s.Position)), held)
	}
	if s.ReadOnly != "" {
		t.line("read-only", "%s", s.ReadOnly)
	}
	if s.DiskLow != "" {
		t.line("disk low", "%s", s.DiskLow)
	}
	return t.Flush()
}

// node tells of the node itself, and its log.
func (t statusTable) node(server string, s *registryrpc.Status) {
	t.line("node", "%s at %s, version %s, up %v", s.Name, server, s.Version, s.Uptime)
	t.line("key", "%s", s.Key)
	var apexes []string
	for _, p := range s.Apexes {
		if p == "" {
			p = "the root"
		}
		apexes = append(apexes, string(p))
	}
	t.line("answers for", "%s", strings.Join(apexes, ", "))
	t.line("identifiers", "%s, and %s withdrawn", thousands(int(s.Identifiers)), thousands(int(s.Withdrawn)))
	t.line("delegations", "%s", thousands(int(s.Delegations)))
	t.line("log", "%s, %s entries", s.Log, thousands(int(s.Position)))
	t.line("checkpoint", "%s entries, root %x, signed %s", thousands(int(s.Checkpoint.Size)), s.Checkpoint.Root, s.Checkpoint.Time.UTC().Format(time.RFC3339))
	t.line("level", "%s", s.Level)
	t.line("anchored", "%s entries, and %s rooted", thousands(int(s.Anchored)), thousands(int(s.Rooted)))
	t.line("journal", "%s on disk, %s of it not in the state yet", octets(s.Synced), octets(s.Synced-min(s.Applied, s.Synced)))
	t.line("state", "%s", octets(uint64(max(0, s.StateBytes))))
}

// parent tells how far the parent has a log of so many entries.
func (t statusTable) parent(u *registryrpc.Upstream, position uint64) {
	how := "connected"
	if !u.Connected {
		how = "not connected: " + u.Reason
	} else if u.Paused != "" {
		how = "waits: " + u.Paused
	}
	if u.Policy != "" {
		how += ", policy " + u.Policy
	}
	t.line("parent", "%s, %s entries and %v behind, %s", u.Address, thousands(int(position-min(u.Acknowledged, position))), u.Behind.Round(time.Second), how)
	if u.Lost > 0 {
		t.line("regressed", "the parent acknowledged %s entries and has %s: it was restored, and gets the rest again", thousands(int(u.Lost)), thousands(int(u.Acknowledged)))
	}
}

// peer tells how far another top-level node has a log of so many entries, and those of the
// children.
func (t statusTable) peer(p *registryrpc.PeerStatus, position uint64) {
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
	t.line("peer", "%s at %s, %s entries and %v behind, has %d of %d children's logs whole, %s", p.Name, p.Address,
		thousands(int(position-min(p.Acknowledged, position))), p.Behind.Round(time.Second), have, len(p.Relays), how)
}

// mirror tells of a log that is kept here. marked says that this node's own log is not whole.
func (t statusTable) mirror(m *registry.MirrorStatus, marked bool) {
	size, behind, old := thousands(int(m.Size)), thousands(int(m.Told-min(m.Size, m.Told))), m.Age.Round(time.Second)
	if m.Role != "" && m.Role != "child" {
		t.line(m.Role, "log %s: %s entries, %s behind, %s marked bad, %v old, %s identifiers", m.Log, size, behind, thousands(int(m.Bad)), old, thousands(int(m.Identifiers)))
		t.uncertain(m, marked)
		return
	}
	if m.Policy == identifier.PolicyWitness.String() {
		t.line("witness", "of log %s: a checkpoint of %s entries, %s behind, %s cosigned, %v old, policy %s", m.Log, size, behind, thousands(int(m.Cosigned)), old, m.Policy)
	} else {
		t.line("mirror", "of log %s: %s entries, %s behind, %s cosigned, %s marked bad, %v old, %s identifiers, policy %s", m.Log, size, behind,
			thousands(int(m.Cosigned)), thousands(int(m.Bad)), old, thousands(int(m.Identifiers)), m.Policy)
	}
	if m.Next != "" {
		t.line("policy", "of log %s: it is being kept as %s from now on, %s of %s entries so far", m.Log, m.Next, thousands(int(m.NextSize)), size)
	}
	if m.Lost > 0 {
		t.line("regressed", "%s entries of log %s were acknowledged and %s are here: this node was restored, and gets the rest again", thousands(int(m.Lost)), m.Log, size)
	}
	t.uncertain(m, marked)
	for i := range m.Fences {
		t.fence(m, &m.Fences[i])
	}
	if q := m.Quarantine; q != nil {
		t.line("quarantine", "log %s, since %s: two histories of its first %s entries were signed: run 'nameplate fork show'", m.Log, q.Since.UTC().Format(time.RFC3339), thousands(int(q.Size)))
	}
}

// uncertain tells what of a log is not known to be its owner's.
func (t statusTable) uncertain(m *registry.MirrorStatus, marked bool) {
	if m.Uncertain == 0 {
		return
	}
	what := fmt.Sprintf("whether the last %s of %s entries are of log %s", thousands(int(m.Uncertain)), thousands(int(m.Size)), m.Log)
	if marked {
		t.line("not certain", "%s: this node was restored, and compares them when its own log is whole", what)
	} else {
		t.line("not certain", "%s: this node was restored, and the log's owner has not come since; until then nobody is sent them, nor relies on them", what)
	}
}

// fence tells by what a child's log is judged that it does not show.
func (t statusTable) fence(m *registry.MirrorStatus, f *registry.FenceStatus) {
	what := fmt.Sprintf("keyset %d of prefix %s in epoch %d", f.Keyset, f.Prefix, f.Epoch)
	if f.Revoked {
		what = fmt.Sprintf("the revocation of prefix %s in epoch %d", f.Prefix, f.Epoch)
	}
	since := "an unknown time"
	if !f.Since.IsZero() {
		since = f.Since.UTC().Format(time.RFC3339)
	}
	reached := ""
	if f.Size > m.Size {
		reached = fmt.Sprintf("; %s entries are here", thousands(int(m.Size)))
	}
	t.line("fence", "log %s: from entry %d on it is judged by %s, which it was told of and does not show; since %s%s", m.Log, f.Size, what, since, reached)
}

// lines tells what is in doubt, and which logs continue others.
func (t statusTable) lines(s *registryrpc.Status) {
	for _, x := range s.Suspicions {
		t.line("suspect", "entries %d to %d of log %s, prefix %s: a key was in the wrong hands", x.Since, x.Until-1, x.Log, x.Prefix)
	}
	if a := s.After; a != nil {
		t.line("continues", "log %s%s, after: %s; 'nameplate fork show' tells more", a.Log, further(a), a.Why)
	}
	for _, m := range s.Mirrors {
		if next := successorOf(s, m.Log); next != nil {
			t.line("continued", "log %s of node %s, %s entries, as log %s, after: %s", m.Log, m.Node, thousands(int(m.Size)), next.Log, next.After.Why)
		} else if !m.Counts {
			t.line("announced", "log %s of node %s, %s entries: it does not count yet", m.Log, m.Node, thousands(int(m.Size)))
		}
	}
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
