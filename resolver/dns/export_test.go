package dns

// Plainly returns what answers plain questions at a server, with records from find.
func Plainly(s *Server, find Find) func(query []byte) []byte {
	p := &plain{zone: s.zone.wire, find: find}
	return func(query []byte) []byte { return p.answer(0, query) }
}
