// Package rpc answers queries over gRPC, and asks them: [Server] puts a Resolver on
// the wire, [Client] is one. The contract is proto/resolution.proto.
//
// What a Resolver answers arrives unchanged, except that times come in UTC, a
// record's in milliseconds, lifetimes and ages in whole milliseconds, rounded down.
//
// # Errors
//
// A [resolver.Error] becomes the status that the resolver's table of outcomes gives
// its kind, with Detail as the message; its cause stays at home. The client makes the
// same error of it again. Everything else that can go wrong (a context that ends, no
// connection, a node that keeps to another contract) is of kind Unavailable to the
// caller of the client.
//
// # Batches
//
// A message of ResolveBatch is cut into pieces of 16 identifiers. Up to Parallel
// pieces of one stream, and up to Workers of all streams, are resolved at once; their
// results are sent in the order of the identifiers, in messages that hold what is
// ready and have about 256 KiB. When the caller does not read, no more than Parallel
// pieces wait to be sent and the node stops reading the stream, so that a slow caller
// costs a bounded amount of memory and no work: of a piece with more than 256 KiB of
// results the rest is resolved when its turn comes to be sent. A panic in a piece is
// raised again in the handler of its stream, where the server's interceptor finds it.
//
// # Plain questions
//
// Where records are lent ([Options].Records), pieces have 256 identifiers when all values
// are asked for, and the plain questions among them are answered together: about an
// identifier in its canonical text, or nearly that, that is found and whose values all
// may read. The message is then written straight from the stored octets, and nothing is
// made of a record that would have to be collected again. Everything else goes through
// the Resolver. Both ways give the same octets.
package rpc
