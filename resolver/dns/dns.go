// Package dns answers for identifiers over DNS, and asks: its [Server] wraps a
// Resolver and its [Client] is one.
//
// # Names
//
// An identifier is <suffix labels>.<marker>.<prefix segments reversed>.<zone>:
//
//	88.118.8           8.118.88.id.internal.                 the prefix itself
//	88.118.8/sn-42     sn-42._i.8.118.88.id.internal.        one plain label
//	88.118.8/sn 42     edn20d1i._b.8.118.88.id.internal.     base32hex of the suffix
//	88.118.8/a long…   <52 characters>._h.8.118.88.id.…      base32hex of its SHA-256
//
// An encoded suffix of more than 63 characters stands in several labels, which read
// from left to right; the first one takes what the others, all full, leave over. So a
// name below _b is an empty non-terminal only when all its labels are full. Names
// compare without case. There is one name for an identifier: what is read is written
// again and compared, and any other form is NXDOMAIN.
//
// A label _x in front asks for links of the type x only: gs1:x in any of its
// spellings, or the registered relation x ([LinkLabel]). The nodes that answer for a
// zone are <n>._ns.<apex>.
//
// # Answers
//
// What a question comes to is in the table of outcomes ([resolver.Cases]); beyond it:
//
//   - In the zone nothing is FORMERR or REFUSED: those are for broken messages and for
//     what this node has no authority over, other classes included. Transfers are
//     refused. Whatever QTYPE there is gets NODATA where it has no records.
//   - The name of a prefix is there when the prefix is found, has something below it or
//     is the apex; a marker or the full labels of an encoded suffix when its prefix is.
//     Below a name that is NXDOMAIN there is nothing (RFC 8020). A link type's name is
//     there when the identifier is found, whether it has such links or not.
//   - Malformed names lie in some zone too: the longest prefix in them decides about
//     referral, refusal and SOA.
//   - A referral has NS in authority, A and AAAA in additional, and SVCB there too while
//     there is room, for our own walker. DS at a cut is answered on the parent's side.
//   - ANY gets one HINFO record (RFC 8482, section 4.2).
//   - Records of a mirror are AA, with the SOA of the child's zone and an extended error
//     0 whose text is "mirror, age " and a Go duration. Whose zone it is, the answer's
//     Zone says.
//   - A mirror that has no record of an identifier says SERVFAIL, with an extended error:
//     it cannot know that there is none ([resolver.UnheldError]). Names with something
//     below, and names of no identifier, it knows: they are NODATA and NXDOMAIN there too.
//   - Stale answers of a cache have an extended error 3 (RFC 8914, section 4.4) whose text
//     is "stale, age " and a Go duration.
//   - What rests on a record that is suspect has an extended error 0 whose text begins with
//     "suspect: ", and the TXT record says suspect=yes. The records are there as ever.
//   - In front of a Resolver that follows referrals (Options.Recursive) RA is set and AA is
//     not.
//   - Extended errors go to who asked with EDNS; the option [optionPlace] tells our own
//     client log, position and apex.
//
// TTLs: the smallest of the values in a record set, and no more than the answer's
// lifetime when that is shorter than all of them, because then it is aged; 300 s for
// NS, their addresses and SVCB; SOA 30 s, 5 s from a mirror.
//
// # Records
//
// TXT holds a whole record, links included, so that one question sees one version of
// it (see text.go). URI and NAPTR hold the links for everybody else, in order: the
// default link, then by index. SVCB at apexes and cuts is described at (*cut).svcb.
//
// # Limits
//
// Answers over UDP have 512 octets at most, with EDNS what the asker takes up to
// 1,232; what does not fit is TC without records. Queries have 4,096 octets at most. They are
// read and answered in batches, by the goroutine that read them where the Resolver
// waits for nobody (Options.AtOnce), else by a fixed number of workers from a bounded
// queue. What passes that, or the system's buffer, is dropped, and so is what has waited
// there for longer than an asker is patient ([udp.Backlog]), as are datagrams from
// port 0 and everything with the QR bit. Options.Rate bounds what one network gets over
// UDP, whose addresses anybody can forge: every second question beyond it is answered
// with TC alone, so that who is really there comes over TCP. Who sends a DNS cookie (RFC
// 7873) gets one that is made as RFC 9018 says, on every way; with a good one he is answered
// whatever the rate, for then his address is his own. No cookie is ever demanded. TCP is
// bounded in connections, in connections per client, in queries at a time on one, and
// in time. Where the Resolver waits for nobody, what came together on a connection is answered
// together and in its order, and connections take turns. Whatever is sent: work and memory are linear in its length.
//
// # What is not there
//
// DNSSEC. DNS over TLS, HTTPS or QUIC. The
// server never offers recursion (RA); it hands RD to its Resolver as Query.Recursive.
package dns
