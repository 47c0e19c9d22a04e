// Package handle answers for identifiers over the Handle protocol, and asks: its
// [Server] wraps a Resolver and its [Client] is one. The protocol is that of RFC 3652,
// as Handle.Net 9.2 and the SDKs of China's industrial identifier system speak it:
// versions 2.1 to 2.11, and major 3 (DO-IRP).
//
// # Codec
//
// A message is an [Envelope] of 20 octets, a header of 24, a body, and a credential.
// Integers are big-endian; a string is its length (u32) and octets. There is a type for
// the body of every operation ([Message.ParseBody]), those of administration and
// sessions included, and for the data of every predefined type: [Site], [Admin],
// [Members], [PublicKey]. Decoders are strict: a body is read to its last octet, counts
// and lengths are held against what is there before anything is allocated, and what
// they accept is written again octet by octet the same. The error is a [*FormatError].
//
// A message has at most 262,144 octets, a list 2,048 values, a handle 2,048 octets.
//
// # Handles
//
// A handle is read as the canonical text of an identifier of any scheme, with the case
// of ASCII letters ignored where the scheme ignores it; 0.NA/P, and P alone, is the
// prefix P. The answer repeats the handle as it was asked.
//
// # Answers
//
// Operation 1 (resolution) and 2 (site information) are answered. Every other one gets
// "operation not supported", which is where administration will stand. The response
// codes are those of the table of outcomes ([resolver.Cases]). Beyond the table:
//
//   - What lies below a delegation is answered 302, with the child's sites as HS_SITE
//     values; a prefix below a delegated prefix 303, with them as HS_SITE.PREFIX; and
//     the delegated prefix itself, 0.NA/P, is found: a record with both, made here. So a
//     stock client walks from the root to the node that answers. The referral handle is
//     always empty. A request that does not want to be referred (DNR) gets 301, unless it
//     is of an SDK that throws on that.
//   - A prefix in this node's own zone that is found, the apex, or has something below
//     it, has the node's own sites beside the values of its record.
//   - A recursive node gives a prefix the sites that its parent named, as far as it walked
//     there itself: an SDK asks for them and goes on there.
//   - A type HS_SITE is a place with an IPv4 address, HS_SITE.6 one with an IPv6
//     address, HS_SITE.PREFIX either. A site has one server, so nobody hashes; its first
//     interface is TCP for both kinds of requests, as the SDKs want it.
//   - The values are those that everybody may read, whether PO is set or not: nobody is
//     challenged for the others as long as nobody can prove who he is.
//   - HS_SERV names the prefix at the top of the zone, whose record has the sites: the
//     delegated prefix itself, or 0.NA/0.NA for what the root answers for. Stock clients
//     look up every service that they hear of, so who asks for HS_SITE by its type is not
//     told of it: the sites themselves spare him an exchange.
//   - RD puts the SHA-256 of the request's header and body in front of the body.
//   - CT signs the answer with the node's RSA key ([Identity]), as every version wants it;
//     200 a second over UDP, where nobody knows who asks, and any number over TCP.
//   - A request with another serial than that of the site information is told so (300),
//     except that of an SDK which throws on it; operation 2 is answered always. The sites
//     of other nodes are told with the serial 65535, unknown, and with the key that the
//     delegation names for them. So a walk that asks for certified answers can check every
//     step from the root down: the key of each node is in what the one above has signed.
//     HS_PUBKEY is not made: it stands for administrators, and a node is none.
//   - A request that has passed more than 40 servers is refused (6; 2 to that SDK).
//   - A message that is compressed, or encrypted without a session, is a protocol
//     error (4). One that is so broken that its length is unknown ends the connection,
//     and gets no datagram.
//   - The answer has the lower of the version that the request suggests and 2.11, or
//     3.0 for a request of major 3.
//
// # What only Nameplate reads
//
// Handle has no place for much of an Answer. A request with [FlagAnswer], which stock
// software ignores, may end in a string that asks for what Handle cannot ask (see
// extension.go), and is answered with the same flag and a string at the end of the body
// with the rest of the answer. The values are not repeated in it. So stock software is not
// told that a record is suspect: the values are those that were registered, and code 1.
//
// # Transport
//
// A datagram has at most 512 octets; longer messages go in several, each with its
// envelope, marked as truncated. The mark is not asked for. Fragments wait two seconds
// for one another, in a table bounded in messages, per client, and in octets. An answer
// that passes 16 datagrams is not sent: a stock client asks over TCP when nothing
// comes, and who set FlagAnswer hears "too busy". TCP connections stay open, and
// several questions on one are answered as they become ready, each by its request id;
// connections are bounded in number, per client, in questions at a time, in octets of
// large messages, and in time. A connection whose first octet begins TLS is inside of it;
// the certificate is signed with the key of the site.
//
// Over HTTP a message is the body of a POST to the path that the handle makes, with the
// type application/x-hdl-message ([Server.Tunnel], [NewTunnelClient]); who serves HTTP
// hands such requests on. A body is read in full before it is looked at; those of more
// than 4 KiB 64 at a time. A site names the node's HTTP port, and as HTTPS too where it
// has a key to compare.
//
// # The way from the root
//
// A [Walk] is a Resolver that asks its way through a tree of Handle servers, whoever runs
// them, as stock clients do; a [Bootstrap] file says where the root is.
//
// # What is not there
//
// Administration and sessions.
package handle
