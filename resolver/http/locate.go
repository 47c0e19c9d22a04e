package http

import (
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/language"
)

// wanted is what a request says about the place that it wants.
type wanted struct {
	attributes [][2]string // those that it names, with their values
	role       string      // of the request in content negotiation; "" for any
	types      []string    // media types, best first
	languages  []language.Tag
	countries  []string // lower case
	from       netip.Addr
}

// The roles that a location may be for (http_role).
const (
	roleNegotiates = "conneg"
	rolePlain      = "no_conneg"
	roleBrowser    = "browser"
)

// htmlTypes are what browsers ask for first of all.
var htmlTypes = [...]string{"text/html", "text/xhtml", "application/xhtml+xml", "application/pdf", "application/vnd.wap.xhtml+xml", "text/vnd.wap.wml"}

// maxAccepted is how much of Accept is looked at, in octets, and how many types of it.
const (
	maxAccepted      = 2000
	maxAcceptedTypes = 32
)

// wants reads a request. The country is the region of the languages that it names, for
// nothing is known here of where addresses are.
func wants(r *http.Request, attributes [][2]string) wanted {
	w := wanted{attributes: attributes}
	w.role, w.types = roleOf(strings.Join(r.Header["Accept"], ","))
	if header := strings.Join(r.Header["Accept-Language"], ","); header != "" && len(header) <= maxAcceptLanguage {
		if tags, _, err := language.ParseAcceptLanguage(header); err == nil {
			w.languages = tags
			for _, tag := range tags {
				if region, confidence := tag.Region(); confidence == language.Exact {
					w.countries = append(w.countries, strings.ToLower(region.String()))
				}
			}
		}
	}
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		w.from = at.Addr().Unmap()
	}
	return w
}

// roleOf returns the role of a request with this Accept, and the types that it wants.
// Who wants HTML as much as anything is a browser; who names no type does not
// negotiate.
func roleOf(accept string) (role string, types []string) {
	if len(accept) > maxAccepted {
		accept = ""
	}
	type entry struct {
		media string
		q     int
	}
	var entries []entry
	html, most := 0, 0
	for part := range strings.SplitSeq(accept, ",") {
		media, parameters, _ := strings.Cut(part, ";")
		media = strings.ToLower(strings.TrimSpace(media))
		if media == "" || media == "*/*" || len(entries) == maxAcceptedTypes {
			continue
		}
		e := entry{media, weight(parameters)}
		entries = append(entries, e)
		most = max(most, e.q)
		if slices.Contains(htmlTypes[:], media) {
			html = max(html, e.q)
		}
	}
	switch {
	case most == 0:
		return rolePlain, nil
	case html == most:
		return roleBrowser, []string{"text/html"}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return b.q - a.q })
	for _, e := range entries {
		if e.q > 0 && !strings.Contains(e.media, "*") {
			types = append(types, e.media)
		}
	}
	return roleNegotiates, types
}

// negotiates reports whether lines of Accept may want another place than browsers, and
// those that name no type, are led to. It allocates nothing for what these send as a rule.
func negotiates(lines []string) bool {
	for _, line := range lines {
		if line == "" || line == "*/*" || line == "text/html" || strings.HasPrefix(line, "text/html,") {
			continue
		}
		if role, _ := roleOf(line); role == roleNegotiates {
			return true
		}
	}
	return false
}

// choose returns the place that suits, of those that can be followed. Each method
// narrows what is left, none to nothing; the last is chance. It reports whether another
// request of the same kind may be sent elsewhere.
func (l *locations) choose(w *wanted) (chosen location, ok, varies bool) {
	left := slices.DeleteFunc(slices.Clone(l.list), func(p location) bool {
		_, why := followable([]byte(p.href), "")
		return why != ""
	})
	if len(left) == 0 {
		return location{}, false, false
	}
	for _, method := range l.chooseBy {
		if len(left) == 1 {
			break
		}
		switch method {
		case "locatt":
			left = w.byAttributes(left)
		case "address":
			before := len(left)
			left = among(left, "address", w.near)
			varies = varies || len(left) < before
		case "country":
			left = among(left, "country", func(has string) bool { return slices.Contains(w.countries, strings.ToLower(has)) })
		case "score":
			left = highest(left)
		case "weighted":
			if len(left) > 1 {
				left, varies = left[:copy(left, []location{draw(left)})], true
			}
		}
	}
	if len(left) > 1 {
		return draw(left), true, true
	}
	return left[0], true, varies
}

// byAttributes keeps the locations with the attributes that the request names, and of
// those the ones for its role, its types and its languages.
func (w *wanted) byAttributes(list []location) []location {
	for _, a := range w.attributes {
		list = keepSome(list, func(p *location) bool { return p.attribute(a[0]) == a[1] })
	}
	if w.role != "" {
		list = among(list, "http_role", func(has string) bool { return has == w.role })
	}
	for _, media := range w.types {
		if some := keepSome(list, func(p *location) bool { return strings.EqualFold(p.attribute("ctype"), media) }); len(some) < len(list) || strings.EqualFold(list[0].attribute("ctype"), media) {
			return w.byLanguage(some)
		}
	}
	return w.byLanguage(among(list, "ctype", func(string) bool { return false }))
}

func (w *wanted) byLanguage(list []location) []location {
	var tags []language.Tag
	var names []string
	for i := range list {
		if tag, err := language.Parse(list[i].attribute("language")); err == nil {
			tags, names = append(tags, tag), append(names, list[i].attribute("language"))
		}
	}
	best := ""
	if len(tags) > 0 && len(w.languages) > 0 {
		if _, i, confidence := language.NewMatcher(tags).Match(w.languages...); confidence > language.No {
			best = names[i]
		}
	}
	return among(list, "language", func(has string) bool { return best != "" && has == best })
}

// near reports whether a list of addresses and networks has the one that asks.
func (w *wanted) near(list string) bool {
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		if ip, err := netip.ParseAddr(text); err == nil && ip.Unmap() == w.from {
			return true
		}
		if network, err := netip.ParsePrefix(text); err == nil && network.Contains(w.from) {
			return true
		}
	}
	return false
}

// keepSome returns the locations for which ok says so; all when it does for none.
func keepSome(list []location, ok func(*location) bool) []location {
	var kept []location
	for i := range list {
		if ok(&list[i]) {
			kept = append(kept, list[i])
		}
	}
	if len(kept) == 0 {
		return list
	}
	return kept
}

// among returns the locations whose attribute suits, else those that do not have it,
// else all.
func among(list []location, name string, suits func(string) bool) []location {
	kept := keepSome(list, func(p *location) bool { has := p.attribute(name); return has != "" && suits(has) })
	if len(kept) < len(list) || kept[0].attribute(name) != "" && suits(kept[0].attribute(name)) {
		return kept
	}
	return keepSome(list, func(p *location) bool { return p.attribute(name) == "" })
}

// highest returns the locations with the highest score; none is 0.
func highest(list []location) []location {
	score := func(p *location) float64 {
		n, err := strconv.ParseFloat(p.attribute("score"), 64)
		if err != nil || n != n {
			return 0
		}
		return n
	}
	best := score(&list[0])
	for i := range list {
		best = max(best, score(&list[i]))
	}
	return keepSome(list, func(p *location) bool { return score(p) == best })
}

// draw returns one of the locations by chance, in proportion to their weights; any when
// they have none.
func draw(list []location) location {
	total := 0.0
	for i := range list {
		total += list[i].weight
	}
	if total == 0 {
		return list[rand.IntN(len(list))]
	}
	at := rand.Float64() * total
	for i := range list {
		if at -= list[i].weight; at < 0 {
			return list[i]
		}
	}
	// Sums of floats are not exact: the last that has a weight.
	for i := len(list) - 1; ; i-- {
		if list[i].weight > 0 || i == 0 {
			return list[i]
		}
	}
}
