package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// apiForm are the parameters of a request to the REST interface. Others than these are
// ignored: stock clients send some that concern changes.
type apiForm struct {
	types, indexes     []string
	auth, cert         bool
	publicOnly         bool
	doNotRefer, pretty bool
	callback           string
}

const (
	// maxAPIBody is how many octets the parameters of a POST may have, and maxAPISelected
	// how many types, and how many indexes, they name: as many as a record has values.
	maxAPIBody     = 64 << 10
	maxAPISelected = identifier.MaxValues
	maxCallback    = 128
)

// readForm reads the parameters in the URL, then those in the body of a POST, which is
// a JSON object with the same names, or a form. The error is for whoever asks.
func readForm(r *http.Request) (apiForm, error) {
	f := apiForm{publicOnly: true}
	if r.URL.RawQuery != "" {
		values, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return f, errors.New("the parameters cannot be read: join them with &, and escape what is not a letter or digit")
		}
		if err := f.read(values); err != nil {
			return f, err
		}
	}
	if r.Method != http.MethodPost {
		return f, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAPIBody+1))
	switch {
	case err != nil:
		return f, errors.New("the body did not arrive")
	case len(body) > maxAPIBody:
		return f, fmt.Errorf("the body has at most %d octets: ask several times", maxAPIBody)
	}
	switch media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media {
	case "application/json":
		return f, f.readJSON(body)
	case "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return f, errors.New("the form cannot be read: escape what is not a letter or digit")
		}
		return f, f.read(values)
	}
	return f, errors.New("a POST has the content type application/json: say so, and send {\"type\": […], \"index\": […]}")
}

// read reads parameters.
func (f *apiForm) read(values url.Values) error {
	// First, for it decides how mistakes in the others are told.
	if callback := values.Get("callback"); callback != "" {
		if !isCallback(callback) {
			return errors.New("a callback is the name of a JavaScript function, of at most 128 letters, digits, dots, $ and _: mend it")
		}
		f.callback = callback
	}
	f.types = append(f.types, values["type"]...)
	f.indexes = append(f.indexes, values["index"]...)
	if len(f.types) > maxAPISelected || len(f.indexes) > maxAPISelected {
		return fmt.Errorf("a question names at most %d types and as many indexes: ask several times", maxAPISelected)
	}
	for name, to := range map[string]*bool{
		"auth": &f.auth, "cert": &f.cert, "publicOnly": &f.publicOnly, "doNotRefer": &f.doNotRefer, "pretty": &f.pretty,
	} {
		if text := values[name]; len(text) > 0 {
			on, err := readSwitch(name, text[0])
			if err != nil {
				return err
			}
			*to = on
		}
	}
	return nil
}

// readSwitch reads a parameter that is on when it is there and does not say otherwise.
func readSwitch(name, text string) (bool, error) {
	if text == "" {
		return true, nil
	}
	return readBool(name, strings.ToLower(text))
}

// isCallback reports whether a text is a name that may be called: nothing else may
// stand in front of the answer.
func isCallback(s string) bool {
	if len(s) > maxCallback {
		return false
	}
	first := true
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '$'
		switch {
		case letter, !first && '0' <= c && c <= '9':
			first = false
		case c == '.' && !first:
			first = true
		default:
			return false
		}
	}
	return !first
}

// readJSON reads parameters written as a JSON object: each a text, a number, a truth
// value, or a list of those.
func (f *apiForm) readJSON(body []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return errors.New("the body is no JSON object: send {\"type\": […], \"index\": […]}")
	}
	values := url.Values{}
	for _, name := range []string{"type", "index", "auth", "cert", "publicOnly", "doNotRefer", "pretty", "callback"} {
		raw, ok := members[name]
		if !ok {
			continue
		}
		list := []json.RawMessage{raw}
		if bytes.HasPrefix(raw, []byte("[")) {
			if err := json.Unmarshal(raw, &list); err != nil {
				return fmt.Errorf("the member %s cannot be read", name)
			}
		}
		for _, one := range list {
			text := string(one)
			if strings.HasPrefix(text, `"`) {
				if err := json.Unmarshal(one, &text); err != nil {
					return fmt.Errorf("the member %s cannot be read", name)
				}
			}
			values.Add(name, text)
		}
	}
	return f.read(values)
}

// query makes the question about a handle.
func (f *apiForm) query(handle string) (HandleQuery, error) {
	q := HandleQuery{
		Handle: handle, Types: f.types,
		Authoritative: f.auth, Certified: f.cert, PublicOnly: f.publicOnly, DoNotRefer: f.doNotRefer,
	}
	for _, t := range f.types {
		if t == "" || len(t) > identifier.MaxTypeName+1 {
			return q, fmt.Errorf("a type has 1 to %d octets: name one, such as URL", identifier.MaxTypeName)
		}
	}
	for _, text := range f.indexes {
		i, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return q, fmt.Errorf("index %.40q is not a number up to 4294967295: leave it out or mend it", text)
		}
		q.Indexes = append(q.Indexes, uint32(i))
	}
	return q, nil
}
