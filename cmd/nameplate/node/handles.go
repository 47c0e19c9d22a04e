package node

import (
	"context"

	"github.com/nameplate-id/nameplate/registry/identifier"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
)

// handles lets HTTP answer as the node's Handle server does.
type handles struct {
	server *resolverhandle.Server
	// recursive says that the node resolves for others, so over HTTP too.
	recursive bool
}

// Ask implements [resolverhttp.Handles].
func (h handles) Ask(ctx context.Context, q resolverhttp.HandleQuery) resolverhttp.HandleAnswer {
	flags := resolverhandle.Flags(0)
	for _, f := range []struct {
		on   bool
		flag resolverhandle.Flags
	}{
		{q.Authoritative, resolverhandle.FlagAuthoritative}, {q.Certified, resolverhandle.FlagCertified},
		{q.PublicOnly, resolverhandle.FlagPublicOnly}, {q.DoNotRefer, resolverhandle.FlagDoNotRefer},
		{h.recursive, resolverhandle.FlagRecursive},
	} {
		if f.on {
			flags |= f.flag
		}
	}
	a := h.server.Ask(ctx, flags, resolverhandle.Resolution{Handle: q.Handle, Types: q.Types, Indexes: q.Indexes})
	return resolverhttp.HandleAnswer{Code: uint32(a.Code), Handle: a.Handle, Values: a.Values, Message: a.Message}
}

// Site implements [resolverhttp.Handles].
func (h handles) Site() any {
	site := h.server.OwnSite()
	if site == nil {
		return nil
	}
	return site.Describe()
}

// describe returns the JSON form of a value's data.
func describe(v *identifier.Value) (format string, form any) { return resolverhandle.Describe(v) }
