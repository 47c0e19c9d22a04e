package node

import (
	"fmt"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// Recursive makes a node one that resolves for others: it begins at the top-level nodes,
// follows referrals and caches. It then holds nothing itself: it has no data folder and
// takes no changes.
type Recursive struct {
	// Roots are the top-level nodes, at most 13. Without any, and without Bootstrap, the
	// node is not recursive.
	Roots []Root `yaml:"roots"`
	// Bootstrap is a file bootstrap_handles, as stock Handle clients have it: where a tree
	// of Handle servers begins. Handles that no top-level node knows are looked up there;
	// all identifiers, when there are no top-level nodes. Empty: none.
	Bootstrap string `yaml:"bootstrap"`
	// Protocols are those to ask other nodes over, best first: grpc, dns, http.
	Protocols []string `yaml:"protocols"`
	// Cache is how much memory the cache may take.
	Cache Size `yaml:"cache"`
}

// Root is one top-level node.
type Root struct {
	Name string `yaml:"name"`
	// Key is the node's key; it may be left out.
	Key identifier.PublicKey `yaml:"key"`
	// HandleKey is the RSA key with which it signs its Handle answers, for those who come
	// to this node as the top of a Handle tree; it may be left out.
	HandleKey identifier.PublicKey `yaml:"handle-key"`
	// Addresses are where it answers, best first.
	Addresses []Address `yaml:"addresses"`
}

const (
	leastCache = 1 << 20
	mostCache  = 1 << 40

	// How many questions a recursive node works on at once, of all and of one
	// connection: most of them wait.
	walkingAtOnce   = 2048
	walkingPipeline = 64
)

// is reports whether the node is recursive.
func (r *Recursive) is() bool { return len(r.Roots) > 0 || r.Bootstrap != "" }

func (r *Recursive) check() error {
	if len(r.Roots) > resolver.MaxNodes {
		return fmt.Errorf("recursive.roots has %d nodes: name at most %d", len(r.Roots), resolver.MaxNodes)
	}
	for i := range r.Roots {
		if _, err := r.Roots[i].node(); err != nil {
			return fmt.Errorf("recursive.roots[%d] %w", i, err)
		}
	}
	if len(r.Protocols) == 0 {
		return fmt.Errorf("recursive.protocols is empty: name grpc, dns, http or handle")
	}
	for _, p := range r.Protocols {
		switch resolver.Protocol(p) {
		case resolver.GRPC, resolver.DNS, resolver.HTTP, resolver.Handle:
		default:
			return fmt.Errorf("recursive.protocols has %q: use grpc, dns, http or handle", p)
		}
	}
	if r.Cache < leastCache || r.Cache > mostCache {
		return fmt.Errorf("recursive.cache is %v: use a size from %v to %v", r.Cache, Size(leastCache), Size(mostCache))
	}
	return nil
}

// node returns the top-level node as a walk takes it.
func (r *Root) node() (identifier.Node, error) {
	n := identifier.Node{Name: r.Name, Key: r.Key, HandleKey: r.HandleKey}
	if !label(r.Name) {
		return n, fmt.Errorf("has the name %q, which is not one DNS label: use lower case letters, digits and inner hyphens", r.Name)
	}
	if k := r.HandleKey; k != (identifier.PublicKey{}) && k.Type != identifier.RSA {
		return n, fmt.Errorf("has a handle-key that is no RSA key: copy what nameplate handle key shows at node %s", r.Name)
	}
	if len(r.Addresses) == 0 || len(r.Addresses) > identifier.MaxAddresses {
		return n, fmt.Errorf("has %d addresses: name 1 to %d", len(r.Addresses), identifier.MaxAddresses)
	}
	for _, a := range r.Addresses {
		ip, err := netip.ParseAddr(a.IP)
		if err != nil || ip.IsUnspecified() || ip.Zone() != "" || a.DNS == 0 && a.GRPC == 0 && a.HTTP == 0 && a.Handle == 0 {
			return n, fmt.Errorf("has the address %q, which nobody can ask: write one such as {ip: 192.0.2.1, dns: 53, grpc: 2640}", a.IP)
		}
		n.Addresses = append(n.Addresses, identifier.Address{IP: ip.String(), DNS: a.DNS, GRPC: a.GRPC, HTTP: a.HTTP, Handle: a.Handle})
	}
	return n, nil
}

// walker is what answers at a recursive node: a cache around a walk around clients.
type walker struct {
	cache *resolver.Cache
	walk  *resolver.Walk // nil where there are no top-level nodes of ours
}

func newWalker(c *Config) (*walker, error) {
	w := &walker{}
	var err error
	if len(c.Recursive.Roots) > 0 {
		if w.walk, err = newWalk(c); err != nil {
			return nil, err
		}
	}
	var behind resolver.Resolver = w.walk
	if path := c.Recursive.Bootstrap; path != "" {
		other, err := HandleTree(path)
		if err != nil {
			return nil, fmt.Errorf("recursive.bootstrap: %w: write one with 'nameplate handle bootstrap'", err)
		}
		behind = twoTrees{w.walk, other}
	}
	w.cache, err = resolver.NewCache(behind, resolver.CacheOptions{Bytes: int64(c.Recursive.Cache)})
	return w, err
}

// newWalk returns the walk through our own nodes.
func newWalk(c *Config) (*resolver.Walk, error) {
	o := resolver.WalkOptions{}
	for i := range c.Recursive.Roots {
		n, err := c.Recursive.Roots[i].node()
		if err != nil {
			return nil, err
		}
		o.Roots = append(o.Roots, n)
	}
	for _, p := range c.Recursive.Protocols {
		o.Protocols = append(o.Protocols, resolver.Protocol(p))
	}
	var err error
	if o.Dial, err = Dialer(c.Zone, o.Roots); err != nil {
		return nil, err
	}
	return resolver.NewWalk(o)
}

// Close gives up what is being asked.
func (w *walker) Close() error {
	_ = w.cache.Close()
	if w.walk == nil {
		return nil
	}
	return w.walk.Close()
}

// walkerCollector reads the counts of cache and walk when somebody asks for the
// metrics.
type walkerCollector struct{ *walker }

var (
	hitsMetric       = prometheus.NewDesc("nameplate_cache_hits_total", "Questions answered from the cache, by what was there.", []string{"entry"}, nil)
	missesMetric     = prometheus.NewDesc("nameplate_cache_misses_total", "Questions that the cache had no answer to, by how it came by one.", []string{"answer"}, nil)
	prefetchesMetric = prometheus.NewDesc("nameplate_cache_prefetches_total", "Entries fetched again before they were missing.", nil, nil)
	passedMetric     = prometheus.NewDesc("nameplate_cache_passed_total", "Questions that wanted no answer from a cache.", nil, nil)
	entriesMetric    = prometheus.NewDesc("nameplate_cache_entries", "Entries in the cache.", nil, nil)
	bytesMetric      = prometheus.NewDesc("nameplate_cache_bytes", "Octets that the entries of the cache count as.", nil, nil)
	walksMetric      = prometheus.NewDesc("nameplate_walks_total", "Walks through the tree, by how they began.", []string{"from"}, nil)
	walkFailMetric   = prometheus.NewDesc("nameplate_walks_failed_total", "Walks that came to no answer.", nil, nil)
	walkMirrorMetric = prometheus.NewDesc("nameplate_walks_mirrored_total", "Walks answered from a mirror.", nil, nil)
	askedMetric      = prometheus.NewDesc("nameplate_walk_questions_total", "Questions to other nodes, by what came of them.", []string{"result"}, nil)
	referralsMetric  = prometheus.NewDesc("nameplate_walk_referrals", "Referrals that are known.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (c walkerCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect implements [prometheus.Collector].
func (c walkerCollector) Collect(to chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v uint64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	s := c.cache.Stats()
	for _, hit := range []struct {
		entry string
		n     uint64
	}{{"found", s.Found}, {"absent", s.Absent}, {"refused", s.Refused}, {"referral", s.Referral}, {"failure", s.Failure}, {"stale", s.Stale}} {
		counter(hitsMetric, hit.n, hit.entry)
	}
	counter(missesMetric, s.Missed, "fetched")
	counter(missesMetric, s.Shared, "shared")
	counter(prefetchesMetric, s.Prefetched)
	counter(passedMetric, s.Passed)
	gauge(entriesMetric, s.Entries)
	gauge(bytesMetric, s.Bytes)
	if c.walk == nil {
		return
	}
	w := c.walk.Stats()
	counter(walksMetric, w.FromReferral, "referral")
	counter(walksMetric, w.Walks-w.FromReferral, "top")
	counter(walkFailMetric, w.Failed)
	counter(walkMirrorMetric, w.Mirrored)
	counter(askedMetric, w.Lost, "lost")
	counter(askedMetric, w.Lame, "lame")
	counter(askedMetric, w.Asked-min(w.Asked, w.Lost+w.Lame), "answered")
	gauge(referralsMetric, w.ReferralsKnown)
}
