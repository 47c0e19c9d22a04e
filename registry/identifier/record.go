package identifier

import "time"

// Value is one thing that an identifier points to. Its fields are those of a
// Handle value (RFC 3651, section 3.1), with link attributes added, so that one
// record serves Handle, GS1 and AAS clients alike.
//
// Limits: see [MaxValues], [MaxValueData] and the other Max constants.
type Value struct {
	// Index tells the values of one record apart; 1 or more, unique in it.
	// A record's values are kept in ascending order of it.
	Index uint32
	// Type is a name such as URL, EMAIL, DESC, HS_SITE or any other: 1 to
	// [MaxTypeName] octets of printable ASCII without space.
	Type string
	// Data is what the type says it is; at most [MaxValueData] octets. For URL
	// it is an absolute URI.
	Data []byte
	TTL  TTL
	// Permissions says who may read and write the value.
	Permissions Permissions
	// Timestamp is when the value was last changed by whoever signed it, in whole
	// seconds, UTC. Zero is unset: then the record's own time has to do.
	Timestamp time.Time
	// Link holds the attributes of a URL value; nil for none. Only a value of
	// type URL may have it.
	Link *Link
	// References are Handle references, almost always empty.
	References []Reference
}

// TTL is how long a value may be cached.
type TTL struct {
	// Absolute says that Seconds is a time (seconds since 1970), not a span.
	Absolute bool
	Seconds  uint32
}

// DefaultTTL is what a value has when its holder named none: a day (RFC 3651, section 3.1).
var DefaultTTL = TTL{Seconds: 86400}

// Left returns for how long a value with this TTL may be cached from now on,
// never less than zero.
func (t TTL) Left(now time.Time) time.Duration {
	if !t.Absolute {
		return time.Duration(t.Seconds) * time.Second
	}
	return max(0, time.Unix(int64(t.Seconds), 0).Sub(now).Truncate(time.Second))
}

// Permissions are the four bits of a Handle value (RFC 3651, section 3.1).
type Permissions uint8

const (
	PublicWrite Permissions = 1 << iota
	PublicRead
	AdminWrite
	AdminRead
)

// DefaultPermissions are what a value has when its holder named none.
const DefaultPermissions = AdminRead | AdminWrite | PublicRead

// Link holds the attributes of a link, as RFC 8288 and the GS1-Conformant
// Resolver Standard name them. Empty means unset.
type Link struct {
	// Relation is the link type, as a CURIE ("gs1:pip") or an absolute URI.
	Relation string
	Title    string
	// Languages are BCP 47 tags.
	Languages []string
	MediaType string
	Context   string
	// Default says that this is the link to follow when none was asked for. At
	// most one value of a record has it; without one the URL value with the
	// lowest index serves.
	Default bool
}

// Reference points at a value of a handle (RFC 3651, section 3.1).
type Reference struct {
	Handle string
	Index  uint32
}

// Record is what an identifier points to.
type Record struct {
	ID ID
	// Spelling is the identifier as it was written when it was registered.
	Spelling string
	// Version counts the changes to this identifier, from 1; withdrawals count too.
	Version uint64
	// Time is when the node logged this version, to the millisecond.
	Time time.Time
	// Withdrawn marks a tombstone: it has a version, but no values.
	Withdrawn bool
	// RowHash is the Merkle leaf hash of the row that made this version; the row
	// that replaces it must name it.
	RowHash Hash
	Values  []Value
	// Suspect says that the holder has said since that a key was in the wrong hands when
	// this version was logged. It is no part of what is stored.
	Suspect bool
}

// Limits of a record.
const (
	MaxValues     = 2048      // values of one record, as stock Handle software has it
	MaxTypeName   = 255       // octets of a value's type
	MaxValueData  = 64 << 10  // octets of a value's data
	MaxLinkText   = 2048      // octets of each text of a Link
	MaxLanguages  = 32        // languages of a Link
	MaxReferences = 64        // references of a value
	MaxSpelling   = 4096      // octets of Record.Spelling
	MaxContent    = 256 << 10 // octets of a record's encoded values and spelling
)

// DefaultLink returns the link to follow when none was asked for: the URL value
// marked default, else the URL value with the lowest index.
func (r *Record) DefaultLink() (Value, bool) {
	var first *Value
	for i := range r.Values {
		v := &r.Values[i]
		if v.Type != "URL" {
			continue
		}
		if v.Link != nil && v.Link.Default {
			return *v, true
		}
		if first == nil {
			first = v
		}
	}
	if first == nil {
		return Value{}, false
	}
	return *first, true
}
