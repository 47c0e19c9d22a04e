package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// ClientOptions say how to ask. The zero value is usable.
type ClientOptions struct {
	// Timeout is how long Resolve waits when the context has no deadline; 0 for 10
	// seconds.
	Timeout time.Duration
	// Transport carries the requests; nil for one of the client's own, which keeps
	// connections open.
	Transport http.RoundTripper
}

// Client asks a node over HTTP. It is a Resolver and may be used concurrently. A
// referral is an answer: it follows none.
type Client struct {
	base    string // scheme and authority
	http    http.Client
	timeout time.Duration
}

// maxAnswer is how many octets of an answer are read: more than a record of the
// largest size with every octet escaped.
const maxAnswer = 4 << 20

// maxIdle is how many connections are kept open for later questions.
const maxIdle = 64

// NewClient returns a client of the node at an address: host and port, or a URL
// with nothing but those. Close it after use.
func NewClient(address string, o ClientOptions) (*Client, error) {
	base := address
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" ||
		u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("address %q: the address of a node is http://, host and port: write it like 192.0.2.1:8080 or http://node.example:8080", address)
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        idleTimeout / 2,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		}
	}
	return &Client{
		base:    u.Scheme + "://" + u.Host,
		timeout: o.Timeout,
		http: http.Client{
			Transport:     o.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close closes the connections that are kept open.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Resolve asks the node. The error is always a [*resolver.Error].
func (c *Client) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	if q.SuffixHash != nil && q.ID.Suffix != "" {
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Malformed, Detail: "a query has a suffix or its hash, not both: leave one out"}
	}
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	status, body, err := c.fetch(ctx, writeQuery(&q))
	if err != nil {
		detail := "the node at " + c.base + " cannot be asked"
		if ctx.Err() != nil {
			detail = "no answer from " + c.base + " in time: ask again"
		}
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the rest says once more whom we asked, and for what
		}
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Unavailable, Detail: detail, Err: err}
	}
	a, err := readResponse(status, body)
	var told *resolver.Error
	switch {
	case errors.As(err, &told):
		return resolver.Answer{}, told
	case err == nil:
		err = checkAnswers(&a, &q)
	}
	if err != nil {
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Unavailable, Detail: "the answer of " + c.base + " cannot be used", Err: err}
	}
	return a, nil
}

// fetch gets a path; it returns the body only when it is JSON.
func (c *Client) fetch(ctx context.Context, path string) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Accept", "application/json, application/problem+json")
	response, err := c.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, err
	case len(body) > maxAnswer:
		return 0, nil, fmt.Errorf("more than %d octets", maxAnswer)
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if media != "application/json" && media != "application/problem+json" {
		body = nil
	}
	return response.StatusCode, body, nil
}

// readResponse reads what a server sent. What the server says of itself is a
// [*resolver.Error]; any other error means that it makes no sense.
func readResponse(status int, body []byte) (resolver.Answer, error) {
	if body == nil {
		return resolver.Answer{}, fmt.Errorf("status %d without JSON: no Nameplate node answers there", status)
	}
	switch status {
	case http.StatusOK, http.StatusSeeOther:
		var d document
		if err := json.Unmarshal(body, &d); err != nil {
			return resolver.Answer{}, err
		}
		if d.Outcome != "" || status == http.StatusOK {
			return readDocument(&d, status)
		}
	}
	var p problem
	if err := json.Unmarshal(body, &p); err != nil {
		return resolver.Answer{}, err
	}
	if p.Answer != nil {
		return readDocument(p.Answer, status)
	}
	if !strings.HasPrefix(p.Type, problemTag) {
		return resolver.Answer{}, fmt.Errorf("status %d with JSON of something else: no Nameplate node answers there", status)
	}
	kind := resolver.Unavailable
	for _, k := range []resolver.Kind{resolver.Malformed, resolver.Overloaded, resolver.Unauthenticated} {
		if status == k.Case().Codes().HTTP {
			kind = k
		}
	}
	return resolver.Answer{}, &resolver.Error{Kind: kind, Detail: resolver.OneLine(p.Detail)}
}

// readDocument reads an answer that came with a status.
func readDocument(d *document, status int) (resolver.Answer, error) {
	a, err := d.answer()
	if err == nil {
		if want := resolver.CaseOf(a, nil).Codes().HTTP; want != status {
			err = fmt.Errorf("status %d with an answer whose status is %d", status, want)
		}
	}
	return a, err
}

// checkAnswers checks that an answer is to the query.
func checkAnswers(a *resolver.Answer, q *resolver.Query) error {
	if a.ID == q.ID {
		if q.SuffixHash == nil || a.Outcome != resolver.Found {
			return nil
		}
	} else if q.SuffixHash != nil && a.Outcome == resolver.Found &&
		a.ID.Prefix == q.ID.Prefix && identifier.SuffixHash(a.ID.Suffix) == *q.SuffixHash {
		return nil
	}
	return fmt.Errorf("it is for %.80q", a.ID.String())
}
