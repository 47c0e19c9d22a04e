// Package proto holds the wire contracts of a node, resolution.proto,
// registration.proto and replication.proto with what they all speak of in
// identifier.proto, the Go code generated from them, and the conversion between their
// messages and the types of package identifier. (Those of replication.proto belong to
// package replica; registry/rpc converts them.) Whoever writes a client in another
// language needs the .proto files and nothing else; their import paths begin at the
// root of the repository.
//
// # Rules
//
// The …ToProto functions take what package identifier holds to be valid and cannot
// fail. What they return shares memory with their argument: neither may be changed
// while the other is in use.
//
// The …FromProto functions take whatever arrived. They never panic, and what they
// return without an error keeps the limits that can be judged without decoding
// anything signed: counts, sizes of fixed fields, ranges of numbers, canonical
// identifiers and prefixes. They do not judge content: [identifier.Change.Check] and
// its like do. Their error is a [*FieldError] or, when rows are at fault, [RowErrors].
// The result shares memory with the message.
//
// Round trips keep everything, except that an empty list or text of octets and none
// are the same, and that times come back in UTC: values' in whole seconds, records'
// and entries' in milliseconds. A record's identifier, and whether it is a tombstone,
// are not part of its message.
//
// What a holder signs is refused when a message has fields that are unknown here:
// dropping them would break the signature and blame the signer. Everywhere else
// unknown fields are ignored.
//
// # Generated code
//
// go generate compiles the contracts without protoc (internal/generate) and runs the
// plugins that go.mod pins, so the same sources give the same octets everywhere.
package proto

//go:generate go run ./internal/generate
