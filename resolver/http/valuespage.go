package http

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// valuesPage is what people are shown of a record.
type valuesPage struct {
	Title, Spelling, Time, Age string
	Version                    uint64
	Note                       string // in front of everything; may be empty
	Follow, JSON, API          string // where to go from here
	Count                      string
	Common                     []string // what is true of all values
	Values                     []shownValue
}

// shownValue is one value. Its text is a link to Href, to a Handle of this proxy, a
// Block of text set as it is, or plain.
type shownValue struct {
	Index        uint32
	Type, Text   string
	Href, Handle string
	Block        bool
	Facts        []string
}

// maxShown is how much of one value a page shows, in octets.
const maxShown = 4000

// showValues answers with a page of the values.
func (s *Server) showValues(w http.ResponseWriter, r *http.Request, a *resolver.Answer, status int, note string) {
	body, err := render("values", s.newValuesPage(a, note))
	if err != nil {
		failed(err).write(w, r, true)
		return
	}
	s.sendPage(w, r, status, body)
}

func (s *Server) newValuesPage(a *resolver.Answer, note string) *valuesPage {
	record := a.Record
	p := &valuesPage{Title: a.ID.String(), Version: record.Version, Note: note, JSON: resolvePath(a.ID)}
	if record.Spelling != p.Title {
		p.Spelling = record.Spelling
	}
	if !record.Time.IsZero() {
		p.Time = record.Time.UTC().Format("2 January 2006, 15:04 UTC")
	}
	switch age := a.Origin.Age.Round(time.Second); {
	case a.Origin.Mirror:
		p.Age = fmt.Sprintf("from a mirror, %v old", age)
	case a.Origin.Stale:
		p.Age = fmt.Sprintf("from a cache, %v old: nobody who knows better answers", age)
	}
	if s.options.Handles != nil {
		p.API = pathHandles + escapeAll(handleOf(a.ID)) + "?pretty"
	}
	if d := a.Default; d != nil {
		if location, why := followable(d.Data, ""); why == "" {
			p.Follow = location
		}
	}
	p.Count = "1 value"
	if n := len(record.Values); n != 1 {
		p.Count = fmt.Sprintf("%d values", n)
	}
	shared := len(record.Values) > 1
	for i := range record.Values {
		shared = shared && slices.Equal(lasting(&record.Values[i]), lasting(&record.Values[0]))
	}
	if shared {
		p.Common = lasting(&record.Values[0])
	}
	for i := range record.Values {
		v := &record.Values[i]
		shown := s.newShownValue(v)
		if !shared {
			shown.Facts = append(shown.Facts, lasting(v)...)
		}
		p.Values = append(p.Values, shown)
	}
	return p
}

// handleOf writes an identifier as a handle: a prefix as its record.
func handleOf(id identifier.ID) string {
	if id.IsPrefix() {
		return "0.NA/" + strings.ToUpper(id.String())
	}
	return id.String()
}

func (s *Server) newShownValue(v *identifier.Value) shownValue {
	shown := shownValue{Index: v.Index, Type: v.Type, Facts: facts(v)}
	format, form := s.describe(v)
	switch text, plain := form.(string); {
	case format == "string" && plain:
		shown.Text = cutText(text)
		shown.Block = strings.Contains(text, "\n") || strings.HasPrefix(v.Type, "10320/")
		if v.Type == "URL" || strings.HasPrefix(v.Type, "URL.") {
			shown.Href, _ = followable(v.Data, "")
		}
		if id, err := identifier.Parse("hdl:" + text); err == nil && (v.Type == typeAlias || v.Type == "HS_SERV") {
			shown.Handle = handlePath(id) + "?noredirect"
		}
	case format == "base64":
		shown.Text, shown.Block = dump(v.Data), true
	default:
		body, err := json.MarshalIndent(form, "", "  ")
		if err != nil {
			body = []byte(dump(v.Data))
		}
		shown.Text, shown.Block = cutText(string(body)), true
	}
	return shown
}

// facts are what else there is to say of a value, each a few words.
func facts(v *identifier.Value) []string {
	var list []string
	if l := v.Link; l != nil {
		add := func(what, text string) {
			if text != "" {
				list = append(list, what+text)
			}
		}
		if l.Default {
			list = append(list, "default link")
		}
		add("", l.Title)
		add("relation ", l.Relation)
		add("language ", strings.Join(l.Languages, ", "))
		add("", l.MediaType)
		add("context ", l.Context)
	}
	if v.Permissions != identifier.DefaultPermissions {
		list = append(list, fmt.Sprintf("permissions %04b", uint8(v.Permissions)))
	}
	for _, r := range v.References {
		list = append(list, fmt.Sprintf("refers to %d:%s", r.Index, r.Handle))
	}
	return list
}

// lasting are the facts that most often all values of a record share.
func lasting(v *identifier.Value) []string {
	list := []string{"kept for " + spanText(v.TTL.Seconds)}
	if v.TTL.Absolute {
		list[0] = "kept until " + isoTime(time.Unix(int64(v.TTL.Seconds), 0))
	}
	if !v.Timestamp.IsZero() {
		list = append(list, "written "+v.Timestamp.UTC().Format("2 January 2006, 15:04 UTC"))
	}
	return list
}

// spanText writes a number of seconds for people.
func spanText(seconds uint32) string {
	for _, unit := range [...]struct {
		seconds uint32
		name    string
	}{{86400, "day"}, {3600, "hour"}, {60, "minute"}} {
		if n := seconds / unit.seconds; n > 0 && seconds%unit.seconds == 0 {
			if n == 1 {
				return "1 " + unit.name
			}
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return fmt.Sprintf("%d s", seconds)
}

// cutText cuts what is too long for a page, between two characters.
func cutText(s string) string {
	if len(s) <= maxShown {
		return s
	}
	cut := maxShown
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return fmt.Sprintf("%s… (%d octets in all)", s[:cut], len(s))
}

// dump writes octets in hexadecimal.
func dump(data []byte) string {
	const most = 512
	text := hex.Dump(data[:min(len(data), most)])
	if len(data) > most {
		text += fmt.Sprintf("… %d octets in all", len(data))
	}
	return strings.TrimRight(text, "\n")
}
