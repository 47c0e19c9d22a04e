package http

// ReadPlainRequest returns the path of the plain request that some octets begin with, and
// how many octets it has; 0 when there is none.
func ReadPlainRequest(b []byte) (path string, size int) { return readPlainRequest(b) }
