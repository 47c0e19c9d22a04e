package rpc

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/runtime/protoiface"

	"github.com/nameplate-id/nameplate/proto"
)

// Tags of the fields of ResolveBatchRequest that nearly all have.
const (
	tagIdentifiers = 1<<3 | asOctets
	tagForm        = 2<<3 | asNumber
)

// questions is a message of a batch that is read with two allocations instead of one for
// each identifier, where it has nothing but identifiers and their form. It is what the
// usual reading makes of it.
type questions struct{ *proto.ResolveBatchRequest }

// ProtoReflect implements [protoreflect.ProtoMessage].
func (q questions) ProtoReflect() protoreflect.Message {
	return reading{q.ResolveBatchRequest.ProtoReflect(), q.ResolveBatchRequest}
}

// reading is a message that knows how it is read.
type reading struct {
	protoreflect.Message
	into *proto.ResolveBatchRequest
}

// ProtoMethods implements [protoreflect.Message].
func (r reading) ProtoMethods() *protoiface.Methods {
	usual := r.Message.ProtoMethods()
	methods := *usual
	methods.Unmarshal = func(in protoiface.UnmarshalInput) (protoiface.UnmarshalOutput, error) {
		if identifiers, form, ok := readQuestions(in.Buf); ok && len(r.into.Identifiers) == 0 && r.into.Form == 0 {
			r.into.Identifiers, r.into.Form = identifiers, form
			return protoiface.UnmarshalOutput{Flags: protoiface.UnmarshalInitialized}, nil
		}
		in.Message = r.Message
		return usual.Unmarshal(in)
	}
	return &methods
}

// readQuestions reads a message that has identifiers, and perhaps a form, and nothing
// else; anything else is left to the usual way, which says what is wrong. What it returns
// shares nothing with b.
func readQuestions(b []byte) (identifiers []string, form proto.Form, ok bool) {
	if len(b) < 2 {
		return nil, 0, false
	}
	all := string(b)
	// As many as there are if all are as long as the first.
	identifiers = make([]string, 0, min(proto.MaxBatch, len(all)/(2+int(all[1]))))
	for at := 0; at < len(all); {
		tag := all[at]
		v, n := protowire.ConsumeVarint(b[at+1:])
		if n < 0 {
			return nil, 0, false
		}
		at += 1 + n
		switch tag {
		case tagIdentifiers:
			if v > uint64(len(all)-at) || !utf8.ValidString(all[at:at+int(v)]) {
				return nil, 0, false
			}
			identifiers = append(identifiers, all[at:at+int(v)])
			at += int(v)
		case tagForm:
			form = proto.Form(v)
		default:
			return nil, 0, false
		}
	}
	return identifiers, form, true
}
