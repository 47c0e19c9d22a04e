package identifier

// Loan is a stored record that is asked for by its key, and lent: it stays where the
// store has it. Whoever asks sets Prefix and Key; the rest is what a [Finding] has.
type Loan struct {
	Prefix []byte // in text
	Key    []byte // of an identifier with this prefix, as [AppendKey] writes it
	// Hash stands for the suffix where only its SHA-256 is known ([SuffixHash]); nil where it
	// is. Key is then that of the prefix, as [AppendPrefixKey] writes it, and becomes that of the
	// identifier where the store knows the hash; it stays so for as long as the record is lent.
	Hash []byte

	// InZone, Apex and Grant are as in [Finding], and so are Log and Position.
	InZone   bool
	Apex     Prefix
	Grant    *Delegation
	Log      LogID
	Position uint64
	// Delegation is the longest that covers the prefix, as in [Finding].
	Delegation *Delegation
	// Stored is the live record, with its checksum checked. It is nil when there is none
	// or it cannot be trusted, or when nobody looked because another node answers.
	Stored Stored
	// Absent says that there is no record, and none of the prefix or one above it
	// either, which might tell how to make one.
	Absent bool
}
