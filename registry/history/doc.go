// Package history compares the history that a node has of its own log with the one that
// another node holds of it, and reads what that one has besides.
//
// A log is one history as long as its node goes on from what it has. A node that was restored
// to an older time, or whose folder was copied, may sign another one. [Compare] finds the
// first entry in which the two differ, by roots that the node has signed and then entry by
// entry, and says what the next log, which continues both, has to say of that: whether they
// part, one has more than the other, or some of either is lost. [Choose] does so with several
// copies, of which one may be compared.
//
// Nothing that comes from another node is believed without the node's own signature, and
// nothing is read of an entry before it adds up to a root that was signed
// ([Parting.Entries]). Nothing is written here.
package history
