package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// resolveFlags are the flags of resolve.
type resolveFlags struct {
	server, zone  string
	serverKey     string
	bootstrap     string
	timeout       time.Duration
	types         []string
	indexes       []uint
	relation      string
	authoritative bool
	asJSON, trace bool
}

func newResolve() *cobra.Command {
	var f resolveFlags
	c := &cobra.Command{
		Use:   "resolve IDENTIFIER...",
		Short: "Ask what an identifier points to",
		Long: `Asks a node what identifiers point to, each in any spelling of any scheme, over the
protocol that --server names: grpc, http, https, dns or handle, and handle+http for
Handle messages that HTTP carries.

With --bootstrap it walks a tree of Handle servers itself, as a stock client does, from the
root that this file names.

With --trace it does not leave the way to the node: it begins there, follows every
referral itself and shows each node that it asks, over which protocol, what that said
and how long it took.

It ends with 0 when every identifier was found, and with 1 otherwise: an identifier
that is absent, refused or answered by another node is printed all the same.`,
		Example: `  nameplate resolve '(01)09506000134352(21)42'
  nameplate resolve --server dns://127.0.0.1:5300 88.118.8/SN-42
  nameplate resolve --server handle://127.0.0.1:2641 88.118.8/SN-42
  nameplate resolve --server handle+http://127.0.0.1:8080 88.118.8/SN-42
  nameplate resolve --server http://127.0.0.1:8080 --json --relation gs1:pip 09506000134352
  nameplate resolve --bootstrap ~/.handle/bootstrap_handles 10.1000/182
  nameplate resolve --trace https://maker.example/p/4711`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return resolveAll(c, &f, args) },
	}
	c.Flags().StringVar(&f.server, "server", environmentOr("server", defaultServer), "whom to ask: grpc://, http://, https://, dns:// or handle:// and `HOST:PORT`; also NAMEPLATE_SERVER")
	c.Flags().StringVar(&f.serverKey, "server-key", environmentOr("server-key", ""), "the node `KEY` that a node must prove over https:// or handle+https://, or a file with it; also NAMEPLATE_SERVER_KEY")
	c.Flags().StringVar(&f.bootstrap, "bootstrap", "", "walk from the root in this `FILE`, a bootstrap_handles of Handle software, and ask no --server")
	_ = c.MarkFlagFilename("bootstrap")
	c.Flags().StringVar(&f.zone, "zone", environmentOr("zone", node.DefaultConfig().Zone), "the DNS `ZONE` of all identifiers, for dns://")
	c.Flags().StringArrayVar(&f.types, "type", nil, "only values of this `TYPE`, such as URL; may be repeated")
	c.Flags().UintSliceVar(&f.indexes, "index", nil, "only the value with this `INDEX`; may be repeated")
	c.Flags().StringVar(&f.relation, "relation", "", "only links of this `RELATION`, such as gs1:pip")
	c.Flags().BoolVar(&f.authoritative, "authoritative", false, "take no answer from a mirror or a cache")
	c.Flags().BoolVar(&f.trace, "trace", false, "walk from the server, or several with commas between, and show every node that is asked")
	timeoutFlag(c, &f.timeout)
	jsonFlag(c, &f.asJSON)
	return c
}

func resolveAll(c *cobra.Command, f *resolveFlags, texts []string) error {
	ids := make([]identifier.ID, len(texts))
	for n, text := range texts {
		var err error
		if ids[n], err = identifier.Parse(text); err != nil {
			return err
		}
	}
	var hops []hop
	r, closer, err := f.resolver(c.Context(), func(h hop) {
		hops = append(hops, h)
		if !f.asJSON {
			h.print(c.OutOrStdout())
		}
	})
	if err != nil {
		return err
	}
	defer closer.Close()
	missed := 0
	for _, id := range ids {
		var a resolver.Answer
		hops = hops[:0]
		err := within(c.Context(), f.timeout, func(ctx context.Context) (err error) {
			a, err = r.Resolve(ctx, f.query(id))
			return err
		})
		if err != nil {
			return err
		}
		if a.Outcome != resolver.Found {
			missed++
		}
		if err := f.print(c.OutOrStdout(), &a, hops); err != nil {
			return err
		}
	}
	if missed > 0 {
		return fmt.Errorf("%d of %d identifiers not found there", missed, len(ids))
	}
	return nil
}

// query asks for an identifier.
func (f *resolveFlags) query(id identifier.ID) resolver.Query {
	q := resolver.Query{ID: id, Types: f.types, Relation: f.relation, Recursive: true, Authoritative: f.authoritative}
	for _, n := range f.indexes {
		q.Indexes = append(q.Indexes, uint32(n))
	}
	return q
}

// resolver returns a client for the protocol of the server, or a walk that tells its
// hops.
func (f *resolveFlags) resolver(ctx context.Context, told func(hop)) (resolver.Resolver, io.Closer, error) {
	switch {
	case f.bootstrap != "" && f.trace:
		return nil, nil, usagef("--trace shows the way through our own nodes: leave out --bootstrap")
	case f.bootstrap != "":
		walk, err := node.HandleTree(f.bootstrap)
		return walk, io.NopCloser(nil), err
	case f.trace:
		return f.walker(ctx, told)
	}
	protocol, address, err := splitServer(f.server)
	if err != nil {
		return nil, nil, err
	}
	switch protocol {
	case "grpc":
		c, err := resolverrpc.NewClient(address, resolverrpc.ClientOptions{Timeout: f.timeout})
		return c, c, err
	case "http", "https":
		o := resolverhttp.ClientOptions{Timeout: f.timeout}
		if encryption, err := f.encryption(); err != nil {
			return nil, nil, err
		} else if encryption != nil {
			o.Transport = &http.Transport{TLSClientConfig: encryption, ForceAttemptHTTP2: true}
		}
		c, err := resolverhttp.NewClient(protocol+"://"+address, o)
		return c, c, err
	case "dns":
		zone, err := resolverdns.ParseZone(f.zone)
		if err != nil {
			return nil, nil, usagef("zone %q: %w", f.zone, err)
		}
		return resolverdns.NewClient(address, resolverdns.ClientOptions{Zone: zone}), io.NopCloser(nil), nil
	case "handle":
		return resolverhandle.NewClient(address, resolverhandle.ClientOptions{Timeout: f.timeout}), io.NopCloser(nil), nil
	}
	if over, ok := strings.CutPrefix(protocol, "handle+"); ok && (over == "http" || over == "https") {
		encryption, err := f.encryption()
		if err != nil {
			return nil, nil, err
		}
		c, err := resolverhandle.NewTunnelClient(over+"://"+address, resolverhandle.TunnelOptions{
			ClientOptions: resolverhandle.ClientOptions{Timeout: f.timeout}, TLS: encryption,
		})
		return c, c, err
	}
	return nil, nil, usagef("server %q: protocol %q is not known: use grpc, http, https, dns, handle or handle+http", f.server, protocol)
}

// encryption accepts only the node that --server-key names; nil where it names none.
func (f *resolveFlags) encryption() (*tls.Config, error) {
	if f.serverKey == "" {
		return nil, nil
	}
	key, err := publicKeyArgument(os.Stdin, f.serverKey)
	if err != nil {
		return nil, fmt.Errorf("--server-key: %w", err)
	}
	return proto.Only(key), nil
}

func (f *resolveFlags) print(w io.Writer, a *resolver.Answer, hops []hop) error {
	if !f.asJSON {
		return printAnswer(w, a)
	}
	text, err := resolverhttp.MarshalAnswer(a)
	if err != nil {
		return err
	}
	if f.trace {
		var trace bytes.Buffer
		if err := writeJSON(&trace, hops); err != nil {
			return err
		}
		text = fmt.Appendf(text[:len(text)-1], `,"trace":%s}`, bytes.TrimSpace(trace.Bytes()))
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}

// printAnswer writes an answer for people.
func printAnswer(w io.Writer, a *resolver.Answer) error {
	var b bytes.Buffer
	switch a.Outcome {
	case resolver.Found:
		fmt.Fprintln(&b, a.ID)
		printRecord(&b, a.Record)
	case resolver.Referral:
		fmt.Fprintf(&b, "%s\n  is answered by another node, %s, which holds %s:\n", a.ID, a.Delegation.Node.Name, a.Delegation.Prefix)
		for _, at := range a.Delegation.Node.Addresses {
			fmt.Fprintf(&b, "  %s  dns %d  grpc %d  http %d\n", at.IP, at.DNS, at.GRPC, at.HTTP)
		}
	case resolver.Absent:
		fmt.Fprintf(&b, "%s\n  is not registered", a.ID)
		if a.Below {
			fmt.Fprint(&b, "; there are identifiers below it")
		}
		fmt.Fprintln(&b)
	case resolver.Refused:
		fmt.Fprintf(&b, "%s\n  is not told to everybody, or not by this node\n", a.ID)
	}
	switch age := a.Origin.Age.Round(time.Second); {
	case a.Origin.Mirror:
		fmt.Fprintf(&b, "  from a mirror, %v old\n", age)
	case a.Origin.Stale:
		fmt.Fprintf(&b, "  from a cache, %v old: nobody who knows better answers\n", age)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// printValues writes a line for each value.
func printValues(w io.Writer, values []identifier.Value) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := range values {
		v := &values[i]
		fmt.Fprintf(t, "  %d\t%s\t%s", v.Index, v.Type, printable(v.Data))
		if link := linkText(v.Link); link != "" {
			fmt.Fprintf(t, "\t%s", link)
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}

func printRecord(w io.Writer, r *identifier.Record) {
	printValues(w, r.Values)
	if len(r.Values) == 0 {
		fmt.Fprintln(w, "  has no values of that kind")
	}
	spelled := ""
	if r.Spelling != "" && r.Spelling != r.ID.String() {
		spelled = ", registered as " + r.Spelling
	}
	fmt.Fprintf(w, "  version %d of %s%s\n", r.Version, r.Time.UTC().Format(time.RFC3339), spelled)
	if r.Suspect {
		fmt.Fprintln(w, "  suspect: its holder has said that a key was in the wrong hands when this was registered")
	}
}

// maxPrinted is how many octets of a value people are shown.
const maxPrinted = 300

// printable returns a value's data on one line that cannot play tricks on a terminal.
func printable(data []byte) string {
	text, more := data, ""
	if len(text) > maxPrinted {
		text, more = text[:maxPrinted], fmt.Sprintf("… (%d octets)", len(data))
	}
	quoted := fmt.Sprintf("%+q", text)
	if plain := quoted[1 : len(quoted)-1]; plain == string(text) {
		return plain + more
	}
	return fmt.Sprintf("%q", text) + more
}

// linkText writes the attributes of a link as --link takes them.
func linkText(l *identifier.Link) string {
	if l == nil {
		return ""
	}
	var parts []string
	for _, p := range []struct{ name, value string }{
		{"rel", l.Relation}, {"title", l.Title}, {"lang", strings.Join(l.Languages, ",")}, {"type", l.MediaType}, {"context", l.Context},
	} {
		if p.value != "" {
			parts = append(parts, p.name+"="+p.value)
		}
	}
	if l.Default {
		parts = append(parts, "default")
	}
	return strings.Join(parts, "; ")
}
