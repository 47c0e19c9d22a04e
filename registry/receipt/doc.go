// Package receipt is what a manufacturer holds of a registration: proof, for anybody who
// knows a few public keys and has nothing else, that one row was signed by the holder of
// its prefix, stands in the log of a node at a place that will not change, and how far up
// that log was cosigned. It shows one row and none of its neighbours.
//
// A [Receipt] is made by a registry; this package encodes, reads and verifies it, and does
// no I/O. docs/RECEIPTS.md specifies the format for whoever writes another verifier; the
// tests contain one that uses nothing of this module.
package receipt
