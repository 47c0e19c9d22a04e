package resolver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// The tree is random, and so are the manners of its addresses. What is found is
// what is there; absent is only what is not; where every cut on the way has an honest
// address or a mirror, there is an answer; and the questions are bounded.
func TestWalkRandomTrees(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rapid.IntRange(1, 5).Draw(rt, "tops"))
		for i, top := range w.top {
			if i > 0 {
				top.manner[0] = manner(rapid.IntRange(0, int(manners)-1).Draw(rt, "top"))
			}
		}
		segments := rapid.SliceOfN(rapid.SampledFrom([]string{"1", "2", "12"}), 1, 4)
		var prefixes []identifier.Prefix
		for range rapid.IntRange(0, 8).Draw(rt, "delegations") {
			p := identifier.Prefix(strings.Join(segments.Draw(rt, "prefix"), "."))
			if w.held[p] != nil {
				continue
			}
			h := w.delegate(p, rapid.IntRange(1, 3).Draw(rt, "addresses"))
			for i := range h.manner {
				h.manner[i] = manner(rapid.IntRange(0, int(manners)-1).Draw(rt, "manner"))
			}
			h.delay = time.Duration(rapid.IntRange(0, 100).Draw(rt, "delay")) * time.Millisecond
			prefixes = append(prefixes, p)
		}
		for _, p := range prefixes {
			up, _ := w.parent(p)
			if rapid.Bool().Draw(rt, "mirrored") {
				for _, h := range up {
					h.mirror[p] = true
				}
			}
		}
		type asked struct {
			id    identifier.ID
			pause time.Duration
		}
		var script []asked
		for range rapid.IntRange(1, 8).Draw(rt, "questions") {
			id := identifier.ID{Prefix: identifier.Prefix(strings.Join(segments.Draw(rt, "asked"), ".")), Suffix: "x"}
			if rapid.Bool().Draw(rt, "there") {
				w.records[id] = true
			}
			script = append(script, asked{id, time.Duration(rapid.IntRange(0, 20_000).Draw(rt, "pause")) * time.Millisecond})
		}
		var problem string
		bubble(t, func(t *testing.T) {
			r := w.walk(nil)
			defer r.Close()
			for _, s := range script {
				time.Sleep(s.pause)
				w.take()
				a, err := r.Resolve(t.Context(), resolver.Query{ID: s.id})
				if n := len(w.take()); n > resolver.MaxQuestions {
					problem = fmt.Sprintf("%d questions for %s", n, s.id)
				}
				if p := w.check(s.id, a, err); p != "" {
					problem = p
				}
			}
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

// parent returns the nodes that delegate a prefix.
func (w *world) parent(p identifier.Prefix) ([]*house, identifier.Prefix) {
	for up, ok := p.Parent(); ok; up, ok = up.Parent() {
		if h := w.held[up]; h != nil {
			return []*house{h}, up
		}
	}
	return w.top, ""
}

// honest reports whether some address of the nodes answers as it should.
func honest(houses []*house) bool {
	for _, h := range houses {
		if slices.Contains(h.manner, answers) {
			return true
		}
	}
	return false
}

// reachable reports whether every cut on the way to an identifier answers, or is
// mirrored by a parent that does. A mirror knows what is there and not what is not.
func (w *world) reachable(id identifier.ID) bool {
	knows := w.records[id]
	for at := id.Prefix; at != ""; at, _ = at.Parent() {
		h := w.held[at]
		if h == nil {
			continue
		}
		up, _ := w.parent(at)
		if !honest([]*house{h}) && !(knows && up[0].mirror[at] && honest(up)) {
			return false
		}
		knows = true // that the cut below is there
	}
	return honest(w.top)
}

// check compares an answer with what is there.
func (w *world) check(id identifier.ID, a resolver.Answer, err error) string {
	switch {
	case err != nil && w.reachable(id):
		return fmt.Sprintf("%s: %v; want an answer", id, err)
	case err != nil:
	case a.Outcome == resolver.Found && (!w.records[id] || a.ID != id || string(a.Record.Values[0].Data) != id.String()):
		return fmt.Sprintf("%s: found %v, which is not there", id, a.Record)
	case a.Outcome == resolver.Absent && w.records[id]:
		return fmt.Sprintf("%s: absent, but it is there", id)
	case a.Outcome != resolver.Found && a.Outcome != resolver.Absent:
		return fmt.Sprintf("%s: %v", id, a.Outcome)
	}
	return ""
}
