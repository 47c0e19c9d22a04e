package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// asked is what was asked of one scheme over one protocol.
type asked struct {
	protocol string
	took     []time.Duration // one an answer, sorted
}

// askers is how many questions are under way at once.
const askers = 4

// asker asks for one row and compares.
type asker func(context.Context, *imported, []string) error

// compareAll asks for a sample of every scheme over every protocol.
func (d *demo) compareAll(ctx context.Context) error {
	if d.altered != nil {
		if err := d.altered(ctx, d); err != nil {
			return err
		}
	}
	s := d.tell.step("resolve")
	protocols, closer, err := d.node.askers()
	if err != nil {
		return err
	}
	defer closer()
	draw := rand.New(rand.NewPCG(d.Seed, 0))
	differing := &differences{}
	for _, im := range d.imports {
		sample := draw.Perm(len(im.rows))[:min(d.size.sample, len(im.rows))]
		for _, p := range protocols {
			if p.name == redirects && im.redirect == 0 {
				continue
			}
			s.show("%s identifiers over %s", im.name, p.name)
			a, err := im.ask(ctx, p, sample, differing)
			if err != nil {
				return err
			}
			im.asked = append(im.asked, a)
			d.figures.answers += len(a.took)
		}
	}
	if err := differing.err(d.figures.answers); err != nil {
		return err
	}
	s.done("%s answers over DNS, gRPC and HTTP say what the CSV rows say", count(d.figures.answers))
	d.tell.note("%s of every scheme, drawn with seed %d: link, description and spelling compared", count(d.size.sample), d.Seed)
	return nil
}

// differences are answers that do not say what they should.
type differences struct {
	mu    sync.Mutex
	n     int
	first error
}

func (d *differences) add(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n++; d.first == nil {
		d.first = err
	}
}

func (d *differences) err(of int) error {
	if d.n == 0 {
		return nil
	}
	return fmt.Errorf("%s of %s answers are not what the CSV rows say: %w", count(d.n), count(of), d.first)
}

// ask asks for rows over one protocol.
func (im *imported) ask(ctx context.Context, p protocol, rows []int, differing *differences) (*asked, error) {
	a := &asked{protocol: p.name, took: make([]time.Duration, len(rows))}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range askers {
		g.Go(func() error {
			for n := next.Add(1) - 1; n < int64(len(rows)); n = next.Add(1) - 1 {
				row := rows[n]
				began := time.Now()
				err := p.ask(ctx, im, im.rows[row])
				a.took[n] = time.Since(began)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err != nil {
					differing.add(fmt.Errorf("row %d of %s over %s: %w", row+1, im.file, p.name, err))
				}
			}
			return nil
		})
	}
	err := g.Wait()
	slices.Sort(a.took)
	return a, err
}

// quantile returns what a part of the answers took at the most.
func (a *asked) quantile(part float64) time.Duration {
	if len(a.took) == 0 {
		return 0
	}
	return a.took[int(part*float64(len(a.took)-1))]
}

// protocol is one way to ask.
type protocol struct {
	name string
	ask  asker
}

// redirects is asking as a browser does, which follows the link.
const redirects = "redirect"

// askers returns every way to ask a node.
func (n *node) askers() ([]protocol, func(), error) {
	dns := resolverdns.NewClient(n.at.at(n.at.dns), resolverdns.ClientOptions{})
	grpc, err := resolverrpc.NewClient(n.at.at(n.at.grpc), resolverrpc.ClientOptions{})
	if err != nil {
		return nil, nil, err
	}
	web, err := resolverhttp.NewClient("http://"+n.at.at(n.at.http), resolverhttp.ClientOptions{})
	if err != nil {
		return nil, nil, errors.Join(err, grpc.Close())
	}
	transport := &http.Transport{MaxIdleConnsPerHost: askers}
	browser := &http.Client{
		Transport:     transport,
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	closer := func() {
		grpc.Close()
		web.Close()
		transport.CloseIdleConnections()
	}
	return []protocol{
		{"DNS", byResolver(dns)},
		{"gRPC", byResolver(grpc)},
		{"HTTP", byResolver(web)},
		{redirects, byRedirect(browser, "http://"+n.at.at(n.at.http))},
	}, closer, nil
}

// byResolver asks a client and compares its answer with the row.
func byResolver(r resolver.Resolver) asker {
	return func(ctx context.Context, im *imported, row []string) error {
		want := im.says(row)
		id, err := identifier.Parse(want.spelling)
		if err != nil {
			return err
		}
		a, err := r.Resolve(ctx, resolver.Query{ID: id})
		if err != nil {
			return fmt.Errorf("%s: %w", want.spelling, err)
		}
		return want.compare(&a)
	}
}

// compare returns in what an answer differs.
func (want saying) compare(a *resolver.Answer) error {
	if a.Outcome != resolver.Found {
		return fmt.Errorf("%s is %v, not found", want.spelling, a.Outcome)
	}
	if a.Record.Spelling != want.spelling {
		return fmt.Errorf("%s: the spelling is %q", want.spelling, a.Record.Spelling)
	}
	var link, description string
	for _, v := range a.Record.Values {
		switch v.Type {
		case "URL":
			link = string(v.Data)
		case "DESC":
			description = string(v.Data)
		}
	}
	switch {
	case link != want.link:
		return fmt.Errorf("%s: the link is %q, not %q", want.spelling, link, want.link)
	case description != want.description:
		return fmt.Errorf("%s: the description is %q, not %q", want.spelling, description, want.description)
	case len(a.Record.Values) != 2:
		return fmt.Errorf("%s has %d values, not a link and a description", want.spelling, len(a.Record.Values))
	}
	return nil
}

// byRedirect asks as a browser and compares where it is sent.
func byRedirect(browser *http.Client, base string) asker {
	return func(ctx context.Context, im *imported, row []string) error {
		want := im.says(row)
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+want.path, nil)
		if err != nil {
			return err
		}
		response, err := browser.Do(request)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			return err
		}
		if location := response.Header.Get("Location"); response.StatusCode != im.redirect || location != want.link {
			return fmt.Errorf("%s: status %d to %q, not %d to %q", want.path, response.StatusCode, location, im.redirect, want.link)
		}
		return nil
	}
}

// batch asks for rows in one stream over gRPC and compares all.
func (n *node) batch(ctx context.Context, im *imported, rows []int) error {
	client, err := resolverrpc.NewClient(n.at.at(n.at.grpc), resolverrpc.ClientOptions{})
	if err != nil {
		return err
	}
	defer client.Close()
	ids := make([]identifier.ID, len(rows))
	for i, row := range rows {
		if ids[i], err = identifier.Parse(im.says(im.rows[row]).spelling); err != nil {
			return err
		}
	}
	differing, answered := &differences{}, 0
	for result, err := range client.ResolveBatch(ctx, resolver.Query{}, slices.Values(ids)) {
		if err != nil {
			return err
		}
		row := rows[answered]
		answered++
		err := cmp.Or(result.Err, im.says(im.rows[row]).compare(&result.Answer))
		if err != nil {
			differing.add(fmt.Errorf("row %d of %s: %w", row+1, im.file, err))
		}
	}
	if answered != len(rows) {
		return fmt.Errorf("%s of %s questions over gRPC were answered", count(answered), count(len(rows)))
	}
	return differing.err(answered)
}
