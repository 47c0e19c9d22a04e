package handle

import (
	"context"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Reply is what a server says to a question, outside of a message.
type Reply struct {
	Code Code
	// Handle is the one that was asked for, as it was written, with its values; in a
	// referral it is the handle to ask for instead, empty when the values tell the sites.
	Handle string
	Values []identifier.Value
	// Message says why there is no answer; it may be empty.
	Message string
}

// Ask answers a question as a message with these flags would be answered: for who
// carries questions in another way. Flags that concern the message, such as
// [FlagDigest], mean nothing here. The context bounds how long it may take.
func (s *Server) Ask(ctx context.Context, flags Flags, r Resolution) Reply {
	request := &Message{
		Envelope: Envelope{Version: newest, Suggested: newest},
		Opcode:   OpResolution, Serial: NoSerial, Flags: flags &^ FlagAnswer,
	}
	code, body := s.resolve(ctx, request, &r)
	reply := Reply{Code: code}
	switch b := body.(type) {
	case Values:
		reply.Handle, reply.Values = b.Handle, b.Values
	case Refer:
		reply.Handle, reply.Values = b.Handle, b.Values
	case Failure:
		reply.Message = b.Message
	}
	return reply
}

// OwnSite returns the site information of the node; nil when it tells no address.
func (s *Server) OwnSite() *Site {
	if sites := s.ownSites(); len(sites) > 0 {
		return sites[0]
	}
	return nil
}
