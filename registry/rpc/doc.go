// Package rpc takes in changes over gRPC, and sends them: [Server] puts a registry on
// the wire, [Client] has the registry's methods. The contract is
// proto/registration.proto. It also carries a child's log to its parent: [Child] and
// [Parent] put connections around the machines of package replica. That contract is
// proto/replication.proto.
//
// # Errors
//
// A [registry.Error] becomes the status code of its kind, with Detail as the message
// and a Failure in the details that names kind and rows; the client makes the same
// error of it again. Its cause stays at home, except that of Malformed, which tells
// the sender about the sender's own message. Whatever else can go wrong is of kind
// Unavailable to the caller of the client: it does not know what became of the change,
// and may send it again.
//
// Status details travel in a header, so they name only as many rows as fit in 4 KiB
// and say how many more there are. The client then asks again over RegisterBatch,
// whose results name them all. That is safe because a change is logged once however
// often it comes.
//
// # Batches
//
// Up to InFlight changes of one stream, of 4 MiB together, and up to Workers of all
// streams are with the registry at once, so that they share its syncs. Answers are
// sent in the order of the changes. A change that names an identifier of an earlier
// one that is still with the registry waits for it, and what follows waits with it:
// so the order of a stream is the order in which each identifier changes. When the
// caller does not read its answers, the node stops reading its changes.
//
// # Watching
//
// A watcher sees whole entries, which is more than a question may be told: values that
// are not for the public, and what lies below private prefixes. So nobody but
// processes on the node's own machine may watch, unless Options say otherwise. A
// watcher that does not read costs one entry in memory and what the connection
// buffers.
//
// # Replication
//
// A stream has one goroutine that sends and one that receives, at either end; the
// child has one more that keeps time. Both tell the machine what happened and ask it
// what to send, under a lock that nobody holds while waiting for wire or disk. So a
// side that is slow to read, or to store, holds up its own stream and nothing else; and
// since nothing is made before it can be sent, no queue grows.
//
// What is kept of a log at the parent outlives its streams. A new stream replaces the
// one before it, whose entries may still be on their way to the disk: the child is
// welcomed once they have arrived, or been given up.
//
// The child connects again after every end, at random within a time that doubles from
// MinWait to MaxWait and begins anew after a Welcome.
//
// Parent and child prove their node keys before a message is sent, by TLS 1.3 with
// certificates that they sign themselves ([proto.Identity]): the child knows its parent's
// key, the parent asks its registry about the child's ([KnownNodes]). Who is unknown or
// revoked is told so and nothing of it is read; with every heartbeat the parent asks
// again. The signatures of Hello and Welcome remain: they bind the streams to the logs.
package rpc
