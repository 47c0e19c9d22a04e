package handle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// TunnelType is the media type of messages that HTTP carries. A request is a POST to
// the path that the handle makes, escaped, with a message in one envelope, as TCP
// carries it; so is the answer. The path says nothing that the message does not.
const TunnelType = "application/x-hdl-message"

const (
	// maxTunnelled is how many octets a request or an answer has.
	maxTunnelled = envelopeOctets + MaxMessage
	// smallTunnelled is how many octets a request may have that needs no place: nearly all
	// questions are smaller.
	smallTunnelled = 4 << 10
	// largeTunnels is how many larger requests are taken in at the same time.
	largeTunnels = 64
)

// Tunnel returns a handler of messages that HTTP carries. It is for requests whose
// content type is [TunnelType]; how long they may take to arrive, and how many
// connections there are, is for the HTTP server to limit. Every answer has a
// Content-Length, because stock clients read no chunks. What is no message gets an HTTP
// error, and so does a large one while many others are taken in (503).
func (s *Server) Tunnel() http.Handler {
	large := make(chan struct{}, largeTunnels)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, refused := readTunnelled(r, large)
		if refused != nil {
			refused.write(w)
			return
		}
		e, err := ParseEnvelope(b)
		if err != nil {
			(&refusal{http.StatusBadRequest, err.Error() + ": send one message in one envelope"}).write(w)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), s.o.Patience)
		defer cancel()
		m := s.Answer(ctx, e, b[envelopeOctets:])
		if m == nil {
			(&refusal{http.StatusBadRequest, "the message is an answer: send a request"}).write(w)
			return
		}
		answer := m.AppendStream(make([]byte, 0, envelopeOctets+m.length()))
		h := w.Header()
		h.Set("Content-Type", TunnelType)
		h.Set("Content-Length", strconv.Itoa(len(answer)))
		h.Set("Cache-Control", "no-store")
		// Whoever asked has gone when this fails.
		_, _ = w.Write(answer)
	})
}

// refusal is an HTTP error.
type refusal struct {
	status int
	detail string
}

func (r *refusal) write(w http.ResponseWriter) {
	h := w.Header()
	if r.status != http.StatusBadRequest {
		// There may be more of the body than anybody wants to read away.
		h.Set("Connection", "close")
	}
	if r.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	body := []byte(r.detail + "\n")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(r.status)
	_, _ = w.Write(body)
}

// readTunnelled reads a body. Memory is taken as octets come, for large ones only with
// a place.
func readTunnelled(r *http.Request, large chan struct{}) ([]byte, *refusal) {
	if r.ContentLength > maxTunnelled {
		return nil, &refusal{http.StatusRequestEntityTooLarge, "a message has at most 262,144 octets"}
	}
	var b bytes.Buffer
	_, err := io.CopyN(&b, r.Body, smallTunnelled+1)
	if err == nil { // there is more
		select {
		case large <- struct{}{}:
			defer func() { <-large }()
		default:
			return nil, &refusal{http.StatusServiceUnavailable, "too many large messages at once: ask again"}
		}
		_, err = io.CopyN(&b, r.Body, maxTunnelled-smallTunnelled)
	}
	switch {
	case err == nil:
		return nil, &refusal{http.StatusRequestEntityTooLarge, "a message has at most 262,144 octets"}
	case !errors.Is(err, io.EOF):
		return nil, &refusal{http.StatusBadRequest, "the message did not arrive"}
	}
	return b.Bytes(), nil
}

// tunnelIdle is how long a client keeps a connection that nobody uses.
const tunnelIdle = time.Minute
