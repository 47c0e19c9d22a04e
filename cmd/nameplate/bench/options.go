// Package bench measures a node and its peers side by side.
//
// What makes its figures worth something:
//
//   - Same data, same work. Node and peers hold the same names with the same records
//     and are asked the same datagrams. The node that is asked is the real program,
//     in a process of its own.
//   - What is answered is right. In a separate pass every name is asked for once, and
//     every octet that matters of every answer is compared with the data that the
//     node was filled with, never with another answer. While rates are measured only
//     the header of an answer is looked at.
//   - A run in which a datagram was lost, or an answer was none, does not count. It
//     is repeated, and the line says how often.
//   - Systems take turns: in each round each of them is measured once, so that what
//     else the machine does meets all of them. A value is the median of the rounds;
//     min and max stand beside it. A ratio is the median of the ratios of each round.
//   - CPU time is user and system time of all processes of the server, as the kernel
//     counts it. It depends less on what else runs than any rate does. On loopback
//     the sender pays for the way to the receiver's socket, so part of what a network
//     card would cost is missing for all alike.
//   - Where there are two processors, the server has one and what asks it the other.
//   - Durable registrations stand beside the syncs that the same disk does in the
//     same rounds.
//
// A figure is one line of JSON: see [Line].
package bench

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"
)

// Options say what is measured. The zero value of everything but Program is usable.
type Options struct {
	// Quick takes 50,000 identifiers, three short rounds, and of the peers the strongest.
	Quick bool
	// Identifiers is how many are served; 0 means a million.
	Identifiers int
	// Rounds is how often each system has its turn, Round how long that is. 0 means
	// five and three seconds.
	Rounds int
	Round  time.Duration
	// Large is how many identifiers the part "large" imports and serves; 0 means ten
	// million. Sustained is for how long the parts "sustain" and "sustain-random" write; 0 means a
	// minute, or a second when it is quick.
	Large     int
	Sustained time.Duration
	// Only are the parts to run; none means all of [Parts] but "large", which takes some
	// 15 minutes and 10 GB of disk.
	Only []string
	// Against are the peers to compare with; none means all of [Peers], or those that are
	// the strongest, and the floors, when it is quick.
	Against []string
	// Peers is the folder where "make bench-peers" puts the programs that it builds;
	// empty for none.
	Peers string
	// Folder is where data and servers get a folder of their own, which is removed at
	// the end; empty for that of temporary files. Its disk is what syncs are measured on.
	Folder string
	// Program is the nameplate program that serves, Version what it calls itself.
	Program, Version string
	// Profile is a file for a CPU profile (pprof) of the node while it answers; empty
	// for none.
	Profile string
	// Out gets the figures, Progress what is being done, a line each.
	Out, Progress io.Writer
}

// Parts are the parts that can be run alone.
func Parts() []string {
	return []string{"bulk", "dns", "dns-tcp", "dns-hashed", "grpc", "http", "rest", "handle", "recursive", "register", "register-grpc", "sustain", "sustain-random", "copy", "lag", "large"}
}

// usual are the parts that are run when none are named.
func usual() []string {
	return slices.DeleteFunc(Parts(), func(part string) bool { return part == "large" })
}

// Peers are what the node can be compared with.
func Peers() []string {
	return []string{"nsd", "knot", "bind", "powerdns", "coredns", "udp-echo", "grpc-go", "net/http", "bbolt", "etcd", "etcd-debian"}
}

// ErrSystem is what Run returns where the bench does not run.
var ErrSystem = errors.New("the bench reads /proc and uses recvmmsg: run it on Linux")

// Run measures and prints. The error says what could not be measured, or that an
// answer was wrong.
func Run(ctx context.Context, o Options) error {
	if o.Identifiers == 0 {
		o.Identifiers = 1_000_000
		if o.Quick {
			o.Identifiers = 50_000
		}
	}
	if o.Rounds == 0 {
		o.Rounds = 5
		if o.Quick {
			o.Rounds = 3
		}
	}
	if o.Round == 0 {
		o.Round = 3 * time.Second
		if o.Quick {
			o.Round = 300 * time.Millisecond
		}
	}
	if o.Large == 0 {
		o.Large = 10_000_000
	}
	if o.Sustained == 0 {
		o.Sustained = time.Minute
		if o.Quick {
			o.Sustained = time.Second
		}
	}
	if len(o.Against) == 0 && o.Quick {
		o.Against = []string{"nsd", "knot", "udp-echo", "grpc-go", "net/http", "bbolt", "etcd"}
	}
	if len(o.Only) == 0 {
		o.Only = usual()
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	return run(ctx, o)
}
