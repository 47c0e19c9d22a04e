// Package state keeps what the logs of a node add up to, in one bbolt file: the
// records and delegations in force, and what is needed to serve and prove them.
// It holds nothing that the journal does not hold, and can be built from it again
// at any time. It knows nothing of what its rows mean.
//
// # Tables
//
// Each [Table] is a sorted table of bytes. Every key begins with the number of the
// log that the row belongs to (u32, big-endian), which the package puts there, so
// two logs can never overwrite each other.
package state
