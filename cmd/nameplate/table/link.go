package table

import (
	"fmt"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// link is a compiled link.
type link struct {
	index    uint32
	url      *template
	title    *template // nil for none
	relation *template
	context  *template
	language *template
	media    *template
	ttl      identifier.TTL
	standard bool
}

// compile reads "URL; attribute=…; attribute". What the text does not set stays as
// it is.
func (l *link) compile(text string, parse parser) (err error) {
	parts := strings.Split(text, "; ")
	url := strings.TrimSpace(parts[0])
	if url == "" {
		return fmt.Errorf("%q has no URL: begin with it", text)
	}
	for _, name := range []string{";rel=", ";title=", ";lang=", ";type=", ";context=", ";index=", ";ttl="} {
		if strings.Contains(url, name) {
			return fmt.Errorf("%q: put a space behind the semicolon of %s, so that it is not part of the URL", text, name[1:])
		}
	}
	if l.url, err = parse(url); err != nil {
		return err
	}
	if len(l.url.parts) > 0 && l.url.parts[0].origin == fromField && !l.url.parts[0].trusted {
		return fmt.Errorf("%q begins with a column: write {+%s} when the column holds whole URLs", text, l.url.parts[0].name)
	}
	for _, attribute := range parts[1:] {
		if err := l.attribute(strings.TrimSpace(attribute), parse); err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
	}
	return nil
}

func (l *link) attribute(text string, parse parser) error {
	name, rest, valued := strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	if name == "default" && !valued {
		l.standard = true
		return nil
	}
	targets := map[string]**template{"rel": &l.relation, "title": &l.title, "lang": &l.language, "type": &l.media, "context": &l.context}
	target, known := targets[name]
	var err error
	switch {
	case !known && name != "ttl" && name != "index":
		return fmt.Errorf("there is no attribute %q: use rel, title, lang, type, context, default, index or ttl", name)
	case !valued:
		return fmt.Errorf("attribute %s has no value: write %s=…", name, name)
	case name == "ttl":
		duration, parseErr := time.ParseDuration(rest)
		if parseErr != nil {
			return fmt.Errorf("ttl %q is not a time: write it like 90s, 10m or 24h", rest)
		}
		l.ttl, err = ttlOf(duration)
		return err
	case name == "index":
		l.index, err = indexOf(rest)
		return err
	case *target != nil:
		return fmt.Errorf("attribute %s is given twice: leave one out", name)
	}
	*target, err = parse(rest)
	return err
}

// linkValue makes one link; ok is false when the row has none.
func (m *Mapper) linkValue(l *link, row *Row) (v identifier.Value, ok bool, err error) {
	url, err := m.fill(l.url, row, percent)
	if err != nil || url.empty > 0 {
		return v, false, err
	}
	v = identifier.Value{
		Index: l.index, Type: "URL", Data: []byte(url.text),
		TTL: l.ttl, Permissions: identifier.DefaultPermissions, Timestamp: m.time,
	}
	attributes := identifier.Link{Default: l.standard}
	var languages string
	for _, a := range []struct {
		from  *template
		to    *string
		needs escaping
	}{
		{l.relation, &attributes.Relation, plain},
		{l.title, &attributes.Title, oneLine},
		{l.media, &attributes.MediaType, plain},
		{l.context, &attributes.Context, oneLine},
		{l.language, &languages, plain},
	} {
		if a.from == nil {
			continue
		}
		text, err := m.fill(a.from, row, a.needs)
		if err != nil {
			return v, false, err
		}
		if n := a.from.columns(); n == 0 || text.empty < n {
			*a.to = strings.TrimSpace(text.text)
		}
	}
	for language := range strings.SplitSeq(languages, ",") {
		if language = strings.TrimSpace(language); language != "" {
			attributes.Languages = append(attributes.Languages, language)
		}
	}
	if attributes.Relation != "" || attributes.Title != "" || attributes.MediaType != "" ||
		attributes.Context != "" || attributes.Languages != nil || attributes.Default {
		v.Link = &attributes
	}
	return v, true, nil
}
