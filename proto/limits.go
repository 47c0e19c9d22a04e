package proto

import (
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// What both ends of the contracts keep to.
const (
	// MaxRequest is how many octets a message to a node may have.
	MaxRequest = 1 << 20
	// MaxResponse is how many octets a message from a node may have. It is what
	// gRPC clients take by default.
	MaxResponse = 4 << 20
	// MaxReplication is how many octets a message between child and parent may have,
	// in either direction.
	MaxReplication = 2 << 20
	// MaxHeaders is how many octets the header fields of a call may have, counted as
	// in RFC 9113, section 6.5.2; MaxTrailers those of an answer.
	MaxHeaders  = 16 << 10
	MaxTrailers = 64 << 10
	// MaxDetail is how many octets the message of a status has: it travels in a
	// header and is for people.
	MaxDetail = 1 << 10
	// MaxBatch is how many identifiers a message of ResolveBatch may have.
	MaxBatch = 10_000
	// MaxSelected is how many types and how many indexes a selection may name.
	MaxSelected = 256
	// MinPing is how often a client may ask whether the connection is alive. A node
	// closes the connection of one that asks more often.
	MinPing = 10 * time.Second
)

// Detail cuts the message of a status to [MaxDetail] octets.
func Detail(text string) string { return Cut(text, MaxDetail) }

// Cut cuts a text to so many octets, at the end of a character, and replaces what is
// not UTF-8.
func Cut(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	end := max(0, limit-len("…"))
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// Dial returns a connection to a node that keeps to the limits of the contracts.
// The target is an address with port, or any other that gRPC knows. Nothing is
// connected before the first call. Without credentials among the options the
// connection is not encrypted. Close it after use.
func Dial(target string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient(target, append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxResponse), grpc.MaxCallSendMsgSize(MaxRequest)),
		grpc.WithMaxHeaderListSize(MaxTrailers),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 2 * MinPing, Timeout: MinPing}),
		grpc.WithDisableServiceConfig(), // no look-ups of TXT records for it
	}, options...)...)
}
