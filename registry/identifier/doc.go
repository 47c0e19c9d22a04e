// Package identifier says what an identifier is: how it is written, compared and
// ordered, and what it may point to and who may say so. It is the vocabulary of
// every other package. It does no input or output and keeps no state.
//
// # Identifiers
//
// An identifier, [ID], is a prefix and a suffix.
//
// The prefix is a path from the root of one tree: segments with dots between them, such as
// 88.118.8. A segment is [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?; it is read in either
// case and kept in lower case. A prefix has at most 127 octets as DNS labels, which
// is 126 as text. Authority over a prefix can be delegated: the holder of the longest
// delegated prefix that covers an identifier holds it. A prefix covers what begins
// with its segments, never what merely begins with its text ([Prefix.Covers]).
//
// The suffix is what the holder of the prefix named. It may be empty: then the
// identifier is the prefix itself. It is UTF-8 in normalisation form C, without the
// control characters C0, DEL and C1 and with at most 20 combining marks in a row.
//
// The canonical text is prefix, slash, suffix, or the prefix alone where the suffix is
// empty; at most 2,048 octets ([MaxID]). The first slash ends the prefix. A slash
// with nothing behind it is an error. [ID.String] writes the canonical text and
// [ParseCanonical] reads it back; it is what the Handle protocol carries. Two
// identifiers are the same when their canonical texts are, which is when == says so.
// Every other spelling is read by [Parse] and maps to one identifier, many
// spellings to one; at most 4,096 octets ([MaxText]).
//
// # Schemes
//
// The first segment of the prefix owns grammar and case ([Scheme]):
//
//	gs1   GS1 keys              (01)09506000134352(21)42
//	                            gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/42
//	oid   object identifiers    urn:oid:1.2.156.3001.7
//	                            oid.1.2.156.3001.7
//	web   URLs, IEC 61406       https://Maker.example/p/4711?s=A
//	                            web.example.maker//p/4711?s=A
//	did   decentralised ids     did:web:maker.example
//	                            did.web/maker.example
//	else  Handle, DOI, IDIS     hdl:88.118.8/SN-42
//	                            88.118.8/sn-42
//
// ecode, vaa, iso15459, irdi and nodes are reserved: prefixes that begin with them
// are refused.
//
// The rules of a scheme hold wherever an identifier comes from: [New], [ParseCanonical]
// and [ParseKey] refuse a suffix that the parser of the scheme could not have made.
// They also hold for a prefix alone, so that everything above a valid identifier is
// itself a valid prefix and nothing can be delegated where no identifier can be.
//
// Handle suffixes have A to Z folded to lower case; other letters keep their case.
// The suffixes of gs1, oid, web and did are ASCII and never folded.
//
// # Detection
//
// [Parse] decides in this order what a text is:
//
//  1. hdl: doi: gs1: oid: web: did: or urn: in front, in either case, says so.
//  2. "(" begins a GS1 element string.
//  3. http:// or https:// begins a URL. One whose path ends in a GS1 key with a
//     plausible value is a GS1 Digital Link; others are web identifiers.
//  4. A text with a slash is a handle, or a canonical text of any scheme.
//  5. 8, 12, 13 or 14 digits are a GTIN.
//  6. Digits with dots, the first arc 0, 1 or 2, are an OID.
//  7. Everything else is a prefix.
//
// What a rule claims it keeps: breaking the rules of the scheme is an error, and no
// later rule is tried. web: in front of a URL makes it a web identifier even where
// it is a Digital Link.
//
// Canonical texts are read back by Parse as what they were, with one exception: a
// Handle prefix by itself that looks like a GTIN or an OID, such as 1.2, is read as
// that. With hdl: in front it is the prefix.
//
// # Handle
//
// hdl: and doi: are the same namespace; a DOI begins with 10. 0.NA/P is the prefix P
// itself, with an empty suffix. A suffix is composed, folded and composed again:
// composing first keeps both ways to write a letter the same letter, composing last
// is needed because some folded letters compose where their capitals do not.
// Nothing is trimmed: a space at the end is part of a suffix.
//
// # GS1
//
// Read are all keys that the GS1 Barcode Syntax Dictionary marks dlpkey, with their
// qualifiers:
//
//   - Digital Link URIs of any host, port and stem ([ParseDigitalLink]). Values are
//     decoded once. Query and fragment do not matter.
//   - Element strings with parentheses. The key comes first. Data attributes, such
//     as an expiry date, are passed over, as the query of a Digital Link is.
//     A parenthesis in a value that would begin an application identifier is
//     written \(.
//   - EPC pure identity URNs, the class lgtin, and patterns with * for the serial,
//     which name the key alone.
//   - The digits of a GTIN-8, -12, -13 or -14.
//   - Behind gs1: also the path of a Digital Link without a host.
//
// Lengths, characters, check digits and check character pairs are verified. The
// order of qualifiers is enforced in element strings as in paths; alternatives do not
// mix; 415 needs its 8020. Values are kept as they are, case included.
//
// How a key is stored, and why the way back is unambiguous, stands at the beginning of
// gs1.go; [ID.DigitalLink] goes it. [GS1Warning] names GTINs from ranges that are
// not unique in the world. They are valid.
//
// # OID
//
// oid: or urn:oid: and arcs. The first arc is 0, 1 or 2; the second is below 40 under
// 0 and 1; arcs have no leading zeros and at most 63 digits. The arcs are segments of
// the prefix and the suffix is empty.
//
// # Web
//
// The prefix is the host reversed, the suffix the path and the query with every octet
// as it was. http and https are the same, and so are no port and the default port of
// the scheme; an empty path is "/". The host is mapped by the lookup profile of UTS 46,
// so it is ASCII in lower case; one dot at its end is dropped. User and password,
// other ports, IP addresses in any notation and fragments are errors.
//
// Path and query are printable ASCII without space, quotation mark, <, >,
// backslash and #; a percent sign begins an escape. This is what browsers and URL libraries
// agree to send unchanged. Text outside ASCII must come escaped: escaping it here
// would touch the octets, and would make two spellings one.
//
// # DID
//
// The prefix has the method, the suffix the method-specific identifier, in which case
// matters (DID Core 1.0, section 3.1). Path, query, fragment and parameters are errors.
//
// # Keys
//
// [AppendKey] makes an octet string that orders identifiers by segment and puts
// everything at or below a prefix together; [Compare] is that order.
//
// # DNS
//
// The name of an identifier is <suffix labels>.<marker>.<prefix segments
// reversed>.<zone>; the marker says how the labels carry the suffix. [PlainNamed] and
// [HashNamed] decide which marker it is, and hash.go has the arithmetic; the codec is
// in resolver/dns.
//
// # Errors
//
// Every refusal of a text is a [*SyntaxError]: the rule, the octet where it is broken and what
// would mend it. Lengths are checked before anything is read.
package identifier
