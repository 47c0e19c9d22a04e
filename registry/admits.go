package registry

import (
	"fmt"
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Admits returns why the log of a node is not taken in; nil when it is. A node is let in
// while a delegation in force names its key. When its prefix has gone to another node, it
// is let in for as long as its log, as far as it is mirrored, does not say so: it has to
// learn of it, and to hand over what it has. One whose prefixes were all revoked is not.
// The error is a [*replica.Refusal].
func (r *Registry) Admits(node identifier.PublicKey) error {
	if r.isPeer(node) || r.delegatesTo(node) {
		return nil
	}
	m := r.logs.of(node)
	if m == nil {
		return &replica.Refusal{Reason: replica.UnknownNode,
			Detail: fmt.Sprintf("no delegation names node key %s: have a prefix delegated to this node first", node)}
	}
	if m.witness() && r.admitsWitnessed(m) {
		return nil
	}
	for _, h := range m.holders.list() {
		if !h.apex || h.delegation.Revoked() || h.delegation.Node != nil && h.delegation.Node.Key != node {
			continue
		}
		if now := r.holders.at(h.delegation.Prefix); now != nil && !now.Revoked() {
			return nil
		}
	}
	return &replica.Refusal{Reason: replica.UnknownNode,
		Detail: fmt.Sprintf("no prefix is delegated to node key %s any more: have one delegated to this node again", node)}
}

// isPeer reports whether a node is another top-level node.
func (r *Registry) isPeer(node identifier.PublicKey) bool {
	return slices.Contains(r.config.Peers, node)
}

// admitsRelay returns why a node does not send the log of another one; nil when it does:
// it is another top-level node, and has delegated to that one.
func (r *Registry) admitsRelay(node, via identifier.PublicKey) error {
	if !r.isPeer(via) || r.isPeer(node) || node == r.node {
		return &replica.Refusal{Reason: replica.UnknownNode,
			Detail: fmt.Sprintf("node %s sends the log of node %s: only top-level nodes do that for one another, with the logs of their children", via, node)}
	}
	m := r.logs.of(via)
	delegated := m != nil && slices.ContainsFunc(m.ledger.holders.list(), func(h held) bool {
		return !h.apex && h.delegation.Node != nil && h.delegation.Node.Key == node
	})
	if !delegated && r.logs.of(node) == nil {
		return &replica.Refusal{Reason: replica.Unavailable, Detail: "the log of the node that sends this one does not say yet that it is its child: come back in a moment"}
	}
	return nil
}

// delegatesTo reports whether a delegation in force names the node.
func (r *Registry) delegatesTo(node identifier.PublicKey) bool {
	return slices.ContainsFunc(r.holders.list(), func(h held) bool {
		return !h.apex && !h.delegation.Revoked() && h.delegation.Node != nil && h.delegation.Node.Key == node
	})
}
