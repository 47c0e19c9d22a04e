package node

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	"github.com/nameplate-id/nameplate/resolver"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
)

// metrics are what /metrics tells (Prometheus text format). Everything that counts
// only grows; what stands at a moment is a gauge.
type metrics struct {
	log      *slog.Logger
	registry *prometheus.Registry
	answers  *prometheus.CounterVec
	took     *prometheus.HistogramVec
	changes  *prometheus.CounterVec
}

// newMetrics returns the metrics of a node, with those of what it answers from.
func newMetrics(from prometheus.Collector, version string, log *slog.Logger) *metrics {
	m := &metrics{
		log:      log,
		registry: prometheus.NewRegistry(),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nameplate_answers_total", Help: "Questions answered, by protocol and outcome.",
		}, []string{"protocol", "outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "nameplate_answer_seconds", Help: "Time from a decoded question to its answer, by protocol; plain questions over UDP are not timed.",
			Buckets: []float64{.00001, .000025, .0001, .00025, .001, .0025, .01, .1, 1},
		}, []string{"protocol"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nameplate_changes_total", Help: "Signed changes and delegations taken in, by what became of them.",
		}, []string{"result"}),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "nameplate_build_info", Help: "Always 1; the label tells the version.",
	}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.answers, m.took, m.changes, build, from,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// registryCollector reads a registry's status when somebody asks for the metrics.
type registryCollector struct {
	registry    *registry.Registry
	replication *replication
}

var (
	positionMetric    = prometheus.NewDesc("nameplate_log_position", "Entries in the node's own log, all of them synced.", nil, nil)
	checkpointMetric  = prometheus.NewDesc("nameplate_log_checkpoint_size", "Entries that the newest signed checkpoint covers.", nil, nil)
	syncedMetric      = prometheus.NewDesc("nameplate_journal_synced_bytes", "Journal octets that are durable.", nil, nil)
	appliedMetric     = prometheus.NewDesc("nameplate_journal_applied_bytes", "Journal octets that the state has taken over.", nil, nil)
	identifiersMetric = prometheus.NewDesc("nameplate_identifiers", "Identifiers that resolve, as the state counts them.", nil, nil)
	withdrawnMetric   = prometheus.NewDesc("nameplate_withdrawn", "Identifiers that were withdrawn.", nil, nil)
	delegationsMetric = prometheus.NewDesc("nameplate_delegations", "Prefixes delegated to holders.", nil, nil)
	stateMetric       = prometheus.NewDesc("nameplate_state_bytes", "Size of the state's file.", nil, nil)
	forkedMetric      = prometheus.NewDesc("nameplate_forked", "1 when two histories of the node's own log were signed.", nil, nil)
	quarantineMetric  = prometheus.NewDesc("nameplate_mirrors_quarantined", "Children whose logs are set aside because two histories were signed.", nil, nil)
	regressedMetric   = prometheus.NewDesc("nameplate_mirrors_regressed", "Mirrors with fewer entries than were acknowledged.", nil, nil)
	anchoredMetric    = prometheus.NewDesc("nameplate_log_anchored", "Entries of the node's own log that the level above has cosigned.", nil, nil)
	rootedMetric      = prometheus.NewDesc("nameplate_log_rooted", "Entries of the node's own log that top-level nodes hold.", nil, nil)
	mirroredMetric    = prometheus.NewDesc("nameplate_mirror_entries", "Entries of the logs that are mirrored here, by whose log it is.", []string{"log", "role"}, nil)
	mirrorLagMetric   = prometheus.NewDesc("nameplate_mirror_lag_entries", "Entries that the owner of a mirrored log has said to have and that are not here.", []string{"log", "role"}, nil)
	mirrorAgeMetric   = prometheus.NewDesc("nameplate_mirror_age_seconds", "How long ago a mirror was known to be whole.", []string{"log", "role"}, nil)
	policyMetric      = prometheus.NewDesc("nameplate_mirror_policy", "1 for what is kept of a log here: mirror, pointer or witness.", []string{"log", "role", "policy"}, nil)
	cosignedMetric    = prometheus.NewDesc("nameplate_mirror_cosigned_entries", "Entries under the newest checkpoint of a child that was cosigned here since the start.", []string{"log"}, nil)
	fencesMetric      = prometheus.NewDesc("nameplate_mirror_fences", "Delegations by which a child's log is judged though it does not show them.", []string{"log"}, nil)
	uncertainMetric   = prometheus.NewDesc("nameplate_mirror_uncertain_entries", "Entries of a mirror that are not known to be of its owner's log, because this node was restored.", []string{"log", "role"}, nil)
	markedMetric      = prometheus.NewDesc("nameplate_log_marked", "1 while entries of the node's own log may be missing, because it was restored.", nil, nil)
	upLagMetric       = prometheus.NewDesc("nameplate_upstream_lag_entries", "Entries of the node's own log that its parent or a peer has not.", []string{"to"}, nil)
	upBehindMetric    = prometheus.NewDesc("nameplate_upstream_behind_seconds", "For how long the parent or a peer has not had everything.", []string{"to"}, nil)
	upConnectedMetric = prometheus.NewDesc("nameplate_upstream_connected", "1 while the log can be sent to the parent or a peer.", []string{"to"}, nil)
	upPolicyMetric    = prometheus.NewDesc("nameplate_upstream_policy", "1 for what the parent or a peer keeps of the node's own log, while it is connected.", []string{"to", "policy"}, nil)
	readOnlyMetric    = prometheus.NewDesc("nameplate_read_only", "1 while the node takes no changes.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (c *registryCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect implements [prometheus.Collector].
func (c *registryCollector) Collect(to chan<- prometheus.Metric) {
	s, err := c.registry.Status(context.Background())
	if err != nil {
		to <- prometheus.NewInvalidMetric(positionMetric, err)
		return
	}
	gauge := func(d *prometheus.Desc, v uint64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	counter := func(d *prometheus.Desc, v uint64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	counter(positionMetric, s.Position)
	counter(checkpointMetric, s.Checkpoint.Size)
	counter(syncedMetric, s.Synced)
	counter(appliedMetric, s.Applied)
	gauge(identifiersMetric, s.Identifiers)
	gauge(withdrawnMetric, s.Withdrawn)
	gauge(delegationsMetric, s.Delegations)
	gauge(stateMetric, uint64(s.StateBytes))
	readOnly := uint64(0)
	if s.ReadOnly != "" {
		readOnly = 1
	}
	gauge(readOnlyMetric, readOnly)
	var forked, quarantined, regressed, marked uint64
	if s.Marked != "" {
		marked = 1
	}
	if s.Quarantine != nil {
		forked = 1
	}
	for _, m := range c.registry.Mirrors() {
		if m.Quarantine != nil && m.Counts {
			quarantined++
		}
		if m.Lost > 0 {
			regressed++
		}
	}
	counter(anchoredMetric, s.Anchored)
	counter(rootedMetric, s.Rooted)
	c.collectLogs(to, s.Position)
	gauge(forkedMetric, forked)
	gauge(quarantineMetric, quarantined)
	gauge(regressedMetric, regressed)
	gauge(markedMetric, marked)
}

// collectLogs tells how far the logs are that are mirrored here, and this node's elsewhere.
func (c *registryCollector) collectLogs(to chan<- prometheus.Metric, position uint64) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, m := range c.registry.Mirrors() {
		if !m.Counts {
			continue // it was continued as another one
		}
		log := m.Log.String()
		gauge(mirroredMetric, float64(m.Size), log, m.Role)
		gauge(mirrorLagMetric, float64(m.Told-min(m.Size, m.Told)), log, m.Role)
		gauge(mirrorAgeMetric, m.Age.Seconds(), log, m.Role)
		gauge(policyMetric, 1, log, m.Role, m.Policy)
		gauge(uncertainMetric, float64(m.Uncertain), log, m.Role)
		if m.Role == "child" {
			gauge(fencesMetric, float64(len(m.Fences)), log)
			gauge(cosignedMetric, float64(m.Cosigned), log)
		}
	}
	up := func(name string, u *registryrpc.Upstream) {
		connected := 0.0
		if u.Connected {
			connected = 1
		}
		gauge(upConnectedMetric, connected, name)
		gauge(upLagMetric, float64(position-min(u.Acknowledged, position)), name)
		gauge(upBehindMetric, u.Behind.Seconds(), name)
		if u.Policy != "" {
			gauge(upPolicyMetric, 1, name, u.Policy)
		}
	}
	if u := c.replication.upstream(); u != nil {
		up("parent", u)
	}
	for _, p := range c.replication.peerStatus() {
		up(p.Name, &p.Upstream)
	}
}

// measured counts what a Resolver answers to one protocol. Why there was no answer is
// told to the operator; whoever asked hears only that there is none.
type measured struct {
	resolver.Resolver
	log                                                 *slog.Logger
	found, referral, absent, refused, failed, malformed prometheus.Counter
	took                                                prometheus.Observer
	told                                                atomic.Int64  // when, in nanoseconds since 1970
	untold                                              atomic.Uint64 // questions without an answer since
}

func (m *metrics) measure(r resolver.Resolver, protocol string) resolver.Resolver {
	counter := func(outcome string) prometheus.Counter { return m.answers.WithLabelValues(protocol, outcome) }
	return &measured{
		Resolver: r, log: m.log.With("protocol", protocol), found: counter("found"), referral: counter("referral"), absent: counter("absent"),
		refused: counter("refused"), failed: counter("failed"), malformed: counter("malformed"),
		took: m.took.WithLabelValues(protocol),
	}
}

// tellEvery is how often the operator hears of questions without an answer. Strangers
// can ask for what cannot be answered as often as they like.
const tellEvery = time.Second

// tell tells the operator why there was no answer, and how often it did not tell since.
func (m *measured) tell(q resolver.Query, why error) {
	now, last := time.Now().UnixNano(), m.told.Load()
	if now-last < int64(tellEvery) || !m.told.CompareAndSwap(last, now) {
		m.untold.Add(1)
		return
	}
	m.log.Error("no answer", "identifier", q.ID.String(), "error", why, "untold", m.untold.Swap(0))
}

// Resolve implements [resolver.Resolver].
func (m *measured) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	began := time.Now()
	a, err := m.Resolver.Resolve(ctx, q)
	m.took.Observe(time.Since(began).Seconds())
	var failure *resolver.Error
	switch {
	case errors.As(err, &failure) && failure.Kind == resolver.Malformed:
		m.malformed.Inc()
	case err != nil:
		m.failed.Inc()
		if ctx.Err() == nil {
			m.tell(q, err)
		}
	case a.Outcome == resolver.Found:
		m.found.Inc()
	case a.Outcome == resolver.Referral:
		m.referral.Inc()
	case a.Outcome == resolver.Absent:
		m.absent.Inc()
	default:
		m.refused.Inc()
	}
	return a, err
}

// measuredRecords counts what plain questions are answered with.
type measuredRecords struct {
	resolverdns.Records
	found, absent prometheus.Counter
}

func (m *metrics) measureRecords(r resolverdns.Records, protocol string) resolverdns.Records {
	return &measuredRecords{r, m.answers.WithLabelValues(protocol, "found"), m.answers.WithLabelValues(protocol, "absent")}
}

// Lend implements [resolverdns.Records].
func (m *measuredRecords) Lend(loans []identifier.Loan, f func() (found, absent int)) error {
	return m.Records.Lend(loans, func() (int, int) {
		found, absent := f()
		m.found.Add(float64(found))
		m.absent.Add(float64(absent))
		return found, absent
	})
}

// dnsPaths tells how many messages took which way through the DNS server.
func (m *metrics) dnsPaths(stats func() resolverdns.Stats) {
	m.paths("nameplate_dns_datagrams_total", "DNS datagrams", func() (uint64, uint64) {
		s := stats()
		return s.Plain, s.Datagrams
	})
	m.paths("nameplate_dns_messages_total", "DNS messages over TCP", func() (uint64, uint64) {
		s := stats()
		return s.PlainMessages, s.Messages
	})
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "nameplate_dns_hashed_total", Help: "DNS questions about names that carry a hash, which cost more than others.",
	}, func() float64 { return float64(stats().Hashed) }))
}

// handlePaths tells how many datagrams took which way through the Handle server.
func (m *metrics) handlePaths(stats func() resolverhandle.Stats) {
	m.paths("nameplate_handle_datagrams_total", "Handle datagrams", func() (uint64, uint64) {
		s := stats()
		return s.Plain, s.Datagrams
	})
}

// paths tells how many messages of all were plain questions.
func (m *metrics) paths(name, what string, count func() (plain, all uint64)) {
	path := func(path string, value func(plain, all uint64) uint64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: name, Help: what + " received, by how they are answered: plain questions from stored octets, all others in full.",
			ConstLabels: prometheus.Labels{"path": path},
		}, func() float64 { return float64(value(count())) }))
	}
	path("plain", func(plain, _ uint64) uint64 { return plain })
	path("full", func(plain, all uint64) uint64 { return all - min(plain, all) })
}
