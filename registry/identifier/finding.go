package identifier

// Finding is what one node's registry holds about an identifier: everything
// that an answer is made of.
type Finding struct {
	// Apex is the prefix of the grant by which this node has authority over the
	// identifier: "" at a node that holds the root. It is the apex of the DNS zone.
	Apex Prefix
	// InZone says whether this node has any authority over the identifier.
	InZone bool
	// Delegation is the longest delegation that covers the identifier's prefix;
	// nil when there is none below the apex.
	Delegation *Delegation
	// Grant is the delegation by which this node has the apex; nil when that names no
	// node, as at the root. Its node and mirrors are those of the DNS zone.
	Grant *Delegation
	// Record is the live record; nil when there is none. A tombstone is none.
	Record *Record
	// Withdrawn says that there is a tombstone instead of a record.
	Withdrawn bool
	// Below says that something exists below the name: a live record or a
	// delegation whose prefix lies at or below the asked prefix. It is only
	// looked up when the identifier's suffix is empty.
	Below bool
	// Position is how many entries of the log this finding is drawn from, those of the
	// logs counted that it continues: it never goes down. Log is that log's id.
	Position uint64
	Log      LogID
}
