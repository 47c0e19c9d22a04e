package rpc

var (
	RequestToProto    = requestToProto
	RequestFromProto  = requestFromProto
	ResponseToProto   = responseToProto
	ResponseFromProto = responseFromProto
	MirroredFromProto = mirroredFromProto

	PredecessorToProto   = predecessorToProto
	PredecessorFromProto = predecessorFromProto
)
