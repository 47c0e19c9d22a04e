// Package network runs a tree of nodes from one file: every node is a process of its
// own, with a folder, a configuration and addresses of its own.
//
// # The file
//
// A network is described in YAML. A field that does not exist is an error, and so is
// whatever does not fit together; the error names the line.
//
//	zone: id.internal          # the DNS zone of all nodes. Default: id.internal
//	ports:                     # the same for all nodes, each at an address of its own
//	  dns: 5300                # Default: 5300
//	  grpc: 2640               # Default: 2640
//	  http: 8080               # Default: 8080
//	  handle: 2641             # UDP and TCP. Default: 2641
//	memory: 48MiB              # what the Go runtime of a node tries to stay below. Default: no limit
//	journal: {segment: 4MiB}   # as in a node's configuration. Default: 4MiB
//	log: {level: warn}         # as in a node's configuration. Default: warn, text
//
//	nodes:                     # at least one of them without a parent
//	  - name: east             # one DNS label; also the name of its folder
//	    address: 127.88.0.1    # where it answers
//	    mirror: 127.88.0.101   # where it answers for its children as their mirror. Default: none
//	  - name: pumps
//	    parent: east           # the node above. Default: none, it is a top-level node
//	    prefixes: ["88.118"]   # what it is responsible for; below a prefix of its parent
//	    address: 127.88.1.1
//	    policy: mirror         # what its parent keeps of its log: mirror, pointer or witness. Default: mirror
//	  - name: walker
//	    recursive: true        # it resolves for others, from the top-level nodes down, and caches
//	    address: 127.88.3.1
//
//	holders:                   # those who register, besides the nodes themselves. Default: none
//	  - name: brightwater      # also the name of its key
//	    prefixes: ["88.118.8"] # delegated to it at the node that is responsible
//
// What a node is called follows from where it stands: a top-level node has no parent,
// a secondary node has a top-level node for a parent, and an enterprise node stands
// below that.
//
// The prefix space is divided in the file. Every node below the top, and every holder,
// has its prefixes from whoever has the longest prefix above. The top-level nodes hold
// the root, each in a log of its own; so what is delegated from the root is delegated
// in all of them.
//
// # The folder
//
//	network.yaml     the file, as it was when the network was last brought up
//	keys/NAME.key    the key with which a node below the top, or a holder, holds its prefixes
//	NAME/node.yaml   the configuration of a node, for "nameplate serve --config"
//	NAME/data        its data folder, with its node.key and handle.key
//	NAME/log         what it wrote to standard error, of all its starts
//	NAME/pid         the process that it was last
//
// All keys are made before the first node starts, so that delegations can name them.
// What is there already is kept: bringing up a network again starts the nodes that do
// not run and delegates what is not delegated as the file says. Whether a process still
// runs is told by its command line, which names the configuration of the node; nothing
// watches over the nodes, and a node that ends stays down until it is started.
package network
