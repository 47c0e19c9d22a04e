package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// asked is what was asked of one scheme over one protocol.
type asked struct {
	scheme   *scheme
	protocol string
	took     []time.Duration // one an answer, sorted
}

// askers is how many questions are under way at once.
const askers = 4

// row is one row of an import.
type row struct {
	*imported
	n int
}

func (r row) says() saying { return r.saysOf(r.n) }

func (r row) String() string { return fmt.Sprintf("row %d of %s", r.n+1, filepath.Base(r.path)) }

// all are all rows of an import.
func (im *imported) all() []row {
	rows := make([]row, len(im.rows))
	for i := range rows {
		rows[i] = row{im, i}
	}
	return rows
}

// asker asks for one row and compares.
type asker func(context.Context, row) error

// compareAll asks for a sample of every scheme over every protocol.
func (d *demo) compareAll(ctx context.Context) error {
	if d.altered != nil {
		if err := d.altered(ctx, d); err != nil {
			return err
		}
	}
	s := d.tell.step("resolve")
	protocols, closer, err := d.protocols(d.walker, nil)
	if err != nil {
		return err
	}
	defer closer()
	draw := rand.New(rand.NewPCG(d.Seed, 0))
	differing := &differences{}
	var everything []row
	for _, scheme := range schemes {
		sample := d.sample(scheme, draw)
		everything = append(everything, sample...)
		for _, p := range protocols {
			if p.name == redirects && scheme.redirect == 0 {
				continue
			}
			s.show("%s identifiers over %s", scheme.name, p.name)
			if err := d.flush(ctx); err != nil {
				return err
			}
			a, err := ask(ctx, p, sample, differing)
			if err != nil {
				return err
			}
			a.scheme = scheme
			d.asked = append(d.asked, a)
			d.figures.answers += len(a.took)
		}
	}
	if err := d.askCached(ctx, protocols[0], everything, differing); err != nil {
		return err
	}
	if err := differing.err(d.figures.answers); err != nil {
		return err
	}
	s.done("%s answers of the recursive node over DNS, gRPC, HTTP and Handle say what the CSV rows say", count(d.figures.answers))
	d.tell.note("%s of every scheme, drawn with seed %d: link, description and spelling compared", count(d.size.sample), d.Seed)
	return nil
}

// askCached asks for the sample twice: what counts is the second time.
func (d *demo) askCached(ctx context.Context, p protocol, rows []row, differing *differences) (err error) {
	for range 2 {
		if d.figures.cached, err = ask(ctx, p, rows, differing); err != nil {
			return err
		}
		d.figures.answers += len(rows)
	}
	return nil
}

// sample draws identifiers of a scheme.
func (d *demo) sample(s *scheme, draw *rand.Rand) []row {
	var all []row
	for _, im := range d.imports {
		if im.scheme == s {
			all = append(all, im.all()...)
		}
	}
	draw.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(d.size.sample, len(all))]
}

// flush empties the cache of the recursive node, as an operator would.
func (d *demo) flush(ctx context.Context) error {
	conn, err := proto.Dial(d.at(d.walker, "grpc"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := resolverrpc.FlushCache(ctx, conn, ""); err != nil {
		return fmt.Errorf("empty the cache of node %s: %w", d.walker.Name, err)
	}
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
func ask(ctx context.Context, p protocol, rows []row, differing *differences) (*asked, error) {
	a := &asked{protocol: p.name, took: make([]time.Duration, len(rows))}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range askers {
		g.Go(func() error {
			for n := next.Add(1) - 1; n < int64(len(rows)); n = next.Add(1) - 1 {
				began := time.Now()
				err := p.ask(ctx, rows[n])
				a.took[n] = time.Since(began)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err != nil {
					differing.add(fmt.Errorf("%v over %s: %w", rows[n], p.name, err))
				}
			}
			return nil
		})
	}
	err := g.Wait()
	slices.Sort(a.took)
	return a, err
}

// quantile returns what a part of sorted times took at the most.
func quantile(sorted []time.Duration, part float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(part*float64(len(sorted)-1))]
}

// protocol is one way to ask.
type protocol struct {
	name string
	ask  asker
}

// redirects is asking as a browser does, which follows the link.
const redirects = "redirect"

// protocols returns every way to ask a node. Over gRPC, where an answer tells where it
// comes from, and over Handle, origin may find fault with that; nil for nothing.
func (d *demo) protocols(x *network.Node, origin func(*resolver.Answer) error) ([]protocol, func(), error) {
	handle := resolverhandle.NewClient(d.at(x, "handle"), resolverhandle.ClientOptions{})
	dns := resolverdns.NewClient(d.at(x, "dns"), resolverdns.ClientOptions{})
	grpc, err := d.records(x)
	if err != nil {
		return nil, nil, err
	}
	web, err := resolverhttp.NewClient(d.net.Server(x, "http"), resolverhttp.ClientOptions{})
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
		{"DNS", byResolver(dns, nil)},
		{"gRPC", byResolver(grpc, origin)},
		{"HTTP", byResolver(web, nil)},
		{"Handle", byResolver(handle, origin)},
		{redirects, byRedirect(browser, d.net.Server(x, "http"))},
	}, closer, nil
}

// records returns a client of a node over gRPC.
func (d *demo) records(x *network.Node) (*resolverrpc.Client, error) {
	return resolverrpc.NewClient(d.at(x, "grpc"), resolverrpc.ClientOptions{})
}

// resolve asks for what a row says.
func resolve(ctx context.Context, r resolver.Resolver, want saying) (resolver.Answer, error) {
	id, err := identifier.Parse(want.spelling)
	if err != nil {
		return resolver.Answer{}, err
	}
	a, err := r.Resolve(ctx, resolver.Query{ID: id, Recursive: true})
	if err != nil {
		return a, fmt.Errorf("%s: %w", want.spelling, err)
	}
	return a, nil
}

// byResolver asks a client and compares its answer with the row.
func byResolver(c resolver.Resolver, origin func(*resolver.Answer) error) asker {
	return func(ctx context.Context, r row) error {
		want := r.says()
		a, err := resolve(ctx, c, want)
		if err != nil {
			return err
		}
		if err := want.compare(&a); err != nil || origin == nil {
			return err
		}
		return origin(&a)
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
	return func(ctx context.Context, r row) error {
		want := r.says()
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
		if location := response.Header.Get("Location"); response.StatusCode != r.redirect || location != want.link {
			return fmt.Errorf("%s: status %d to %q, not %d to %q", want.path, response.StatusCode, location, r.redirect, want.link)
		}
		return nil
	}
}
