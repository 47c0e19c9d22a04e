// Package http answers over HTTP/1.1 and HTTP/2 (in clear text with prior
// knowledge, RFC 9113 section 3.3), and asks over it: [Server] wraps a Resolver,
// [Client] is one. Callers rename the import, since net/http has the name as well.
//
// Where [Options] have a TLS configuration, encrypted connections are answered on the same
// port: the first octet tells them apart. Whoever sends none in five seconds is closed.
//
// # What is asked with which path
//
// A request is routed on its path as it was sent, escapes and all, and decoded once.
// GET, HEAD and OPTIONS are the methods. In this order:
//
//	/                        a page for people
//	/healthz                 200 while the node can answer
//	/metrics                 what the wiring hands in
//	/schema/resolve.json     the JSON Schema of what /resolve answers
//	/resolve/{identifier}    the answer as JSON
//	/resolve?identifier=…    303 to the one above; for the form on the page
//	/api/handles/{handle}, /api/site …  the Handle REST interface, see below
//	/favicon.ico, /robots.txt, /.well-known/…   404
//	POST with a Handle message, to any path   what the Handle server says
//	{any stem}/01/09506000134352/21/A7          a GS1 Digital Link: 307 to a link
//	/88.118.8/sn-42          anything else is an identifier in any spelling:
//	                         302 to a link for a handle, 307 for other schemes
//
// An identifier that begins with hdl: doi: gs1: oid: web: did: or urn: is never
// taken for a Digital Link, so a handle whose suffix looks like one is asked for as
// /hdl:88.118.8/01/09506000134352. An identifier whose own text has ? or # or a
// percent sign is written escaped; everything else may be.
//
// # GET /resolve/{identifier}
//
// The parameters are type and index (both repeatable, a union; a type that ends in
// "." selects its subtypes too), relation (a link type), recursive (default true:
// follow referrals), authoritative (default false: no mirrors and caches), mirror
// (default false: from a copy, where the node would refer), form (any or canonical: how the identifier is written; canonical texts such as 1.2 mean
// something else as a spelling), as (json or page: a page for people) and hash (64 hexadecimal digits: the SHA-256 of
// the suffix; the identifier is then the canonical prefix). Another parameter is
// an error, because it is most likely a ? of the identifier that was not escaped.
//
// Found is 200 and a referral 303, both with the answer as JSON; a Location leads
// to the same question at the node that answers. Everything else is a problem
// document (RFC 9457), which carries the answer too where there is one. The schema
// describes both; ETag is made of the record's version and row.
//
// # The Handle REST interface
//
// GET and POST /api/handles/{handle} answer as the node's Handle server does ([Handles]),
// in the JSON of stock software: responseCode, handle, values, message, referralHandle.
// The parameters are type and index (repeatable, a union, at most 2,048 each), auth, cert,
// publicOnly (true unless it says otherwise), doNotRefer, pretty and callback; a parameter
// without a value is on, others are ignored. A POST carries them as a JSON object or as a
// form of at most 64 KiB. The statuses are 200 for codes 1 and 200, 300 for referrals
// (302, 303), 404 for 100, 409, 400, 501, 503 and 403 for what the code says; 402 is 401
// over TLS and 403 without. With a callback the answer is a script with status 200,
// because browsers run no other; the code stands in it. Aliases are data here, never
// followed.
//
// GET /api/site is the node's own site information. Lists of handles and prefixes are for
// administrators (402). Changes, sessions and verifications get code 5.
//
// # Handles
//
// A request for a handle is answered as the stock proxy does. In front of the handle
// hdl: doi: info:hdl/ info:doi/ urn:hdl: and urn:doi: are taken off. An HS_ALIAS value is
// 301 to where its chain of aliases ends (ten at most; 508 when it goes round), with the
// query. Then a 10320/loc value chooses, then the links: 302 with a short page. The
// parameters are noredirect and action=showvalues (a page of the values), action=showurls
// (the locations as XML), action=metadata (as locatt=role:metadata), action=api (as the REST
// interface), urlappend (put behind the link, which must not lead to another host),
// locatt=attribute:value, ignore_aliases, type, index, auth and cert. Others are ignored.
//
// Of the locations of a 10320/loc value each method of chooseby keeps those that suit,
// or, where none does, those that say nothing of it, or all: locatt (the attributes that the
// request names; the role conneg, browser or no_conneg that its Accept makes of it; the
// type; the language), address (the asker's, in a list of addresses and networks), country
// (the regions in Accept-Language: nothing is known here of where addresses are), score (the
// highest) and weighted (chance). What chance chose is not kept (no-cache). The XML is read
// strictly: at most 64 KiB, 256 locations, 32 attributes each and no document type.
//
// # Links
//
// The link to follow is the default link, or with ?linkType= one of that relation;
// none is 404. Of several with that relation Accept-Language chooses (BCP 47 tags,
// matched by the distances of CLDR); then the default link, then the lowest index.
// Without linkType the default link is followed whatever its language, unless the
// holder put links of the relation gs1:defaultLinkMulti beside it.
// Only http and https links are followed: a redirect to another scheme would hand
// the browser over to whatever claims it, so such a link is 404 with a pointer to
// /resolve, where it can be read. So is one that names a user in front of the host,
// or is longer than 8,192 octets.
//
// The query string of a request for anything but a handle goes to the target as it
// was sent, in front of the target's fragment and behind its own query: no octet is
// decoded, dropped or put elsewhere, and ";" stays. What could not stand in a header
// line is percent-encoded.
//
// ?linkType=linkset (or its older name all) and Accept: application/linkset+json
// give all links as a linkset (RFC 9264). With both a relation and that Accept the
// linkset has the links of that relation.
//
// # Headers
//
// Cache-Control says max-age from the answer's lifetime; an answer from a mirror
// or a cache carries Age, and its max-age is the lifetime beyond that age, so that caches keep it for
// the lifetime. Nameplate-Suspect: ?1 says that the holder of the record has said that a key
// was in the wrong hands when it was registered; the answer as JSON has "suspect": true, the
// Handle REST interface has no place for it. That a record lacks what was asked is kept for 30 s at most. Errors
// are not stored. Everything may be read from any origin
// (CORS), for there is nothing here that depends on who asks.
//
// # Plain requests
//
// A redirect whose record has one link that can be followed as it stands is answered from
// the stored octets, where [Options.Records] lends them. When the request is plain too, a GET
// over HTTP/1.1 with nothing in its header that could matter, it is read and answered
// without net/http: a connection stays with the plain way until something else arrives, which net/http then
// finds unread (see plainListener). The octets are the same on every way.
//
// # Limits
//
// A request has at most 16 KiB of URL and 24 KiB of header altogether, 5 s to send
// it and 10 s to be answered; a body is neither read nor waited for, but that of a POST to
// the Handle REST interface (64 KiB) or with a Handle message. Connections
// are limited in all and per address. See [Options].
package http
