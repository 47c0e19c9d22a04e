package demo

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// slow answers as the rows say; those of some numbers only when it is asked for them so many
// times.
type slow struct {
	says  map[identifier.ID]saying
	times map[identifier.ID]int
	wrong identifier.ID
}

func (s *slow) ResolveBatch(_ context.Context, _ resolver.Query, ids iter.Seq[identifier.ID]) iter.Seq2[resolverrpc.Result, error] {
	return func(yield func(resolverrpc.Result, error) bool) {
		for id := range ids {
			want := s.says[id]
			r := resolverrpc.Result{ID: id}
			if s.times[id]--; s.times[id] >= 0 {
				r.Err = &resolver.Error{Kind: resolver.Unavailable, Detail: "no answer in time: ask again"}
			} else {
				r.Answer = resolver.Answer{Outcome: resolver.Found, Record: &identifier.Record{Spelling: want.spelling, Values: []identifier.Value{
					{Type: "URL", Data: []byte(want.link)}, {Type: "DESC", Data: []byte(want.description)},
				}}}
			}
			if id == s.wrong {
				r.Answer = resolver.Answer{Outcome: resolver.Absent}
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// What got no answer in time is asked for again, for a minute; what is answered wrongly is not.
func TestAskAll(t *testing.T) {
	d := testDemo(t, small)
	if err := d.writeData(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows := d.imports[0].all()[:50]
	for name, c := range map[string]struct {
		times int // that some rows get no answer
		wrong bool
		late  int
		took  time.Duration
		want  string
	}{
		"at once":  {0, false, 0, 0, ""},
		"at last":  {3, false, 5, 3 * againAfter, ""},
		"never":    {1000, false, 5, 11 * againAfter, "5 of 50 questions got no answer within 1m0s"},
		"wrongly":  {0, true, 0, 0, "1 of 50 answers are not what the CSV rows say"},
		"late too": {2, true, 5, 2 * againAfter, "1 of 50 answers are not what the CSV rows say"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slow{says: map[identifier.ID]saying{}, times: map[identifier.ID]int{}}
				for i, r := range rows {
					id, err := identifier.Parse(r.says().spelling)
					if err != nil {
						t.Fatal(err)
					}
					s.says[id] = r.says()
					if i%10 == 0 {
						s.times[id] = c.times
					}
					if i == 7 && c.wrong {
						s.wrong = id
					}
				}
				began := time.Now()
				late, err := askAll(t.Context(), s, true, rows)
				if err == nil {
					err = errors.New("")
				}
				if took := time.Since(began); late != c.late || took != c.took || !strings.HasPrefix(err.Error(), c.want) || c.want == "" && err.Error() != "" {
					t.Errorf("got %d late, %v after %v; want %d, %q after %v", late, err, took, c.late, c.want, c.took)
				}
			})
		})
	}
}
