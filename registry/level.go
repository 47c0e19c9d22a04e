package registry

import "github.com/nameplate-id/nameplate/registry/identifier"

// Level is how far a change has been secured.
type Level uint8

const (
	// Local: synced to this node's disk.
	Local Level = iota + 1
	// Anchored: cosigned by the parent, once the level above that holds it.
	Anchored
	// Rooted: under a checkpoint of a top-level node.
	Rooted
)

func (l Level) String() string {
	switch l {
	case Local:
		return "local"
	case Anchored:
		return "anchored"
	case Rooted:
		return "rooted"
	}
	return "none"
}

// Receipt says where a change stands in the log.
type Receipt struct {
	Log      identifier.LogID
	Position uint64 // of the entry; of the newest one where the rows were already there
	Level    Level
	// Duplicate says that every row was already there and nothing was logged.
	Duplicate bool
}
