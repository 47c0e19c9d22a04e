// Package replica is the replication protocol: how a child's log gets to its parent.
package replica
