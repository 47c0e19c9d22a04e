package registry

import "github.com/nameplate-id/nameplate/registry/folder"

// More points of Config.Hook, in the order in which a change, a mirrored entry and a
// restored node pass them. Tests end the process there.
const (
	HookEntry        = "registry.entry.judged"    // an entry, before it is handed to the journal
	HookEntrySynced  = "registry.entry.synced"    // it is synced, before anybody sees it
	HookEntryVisible = "registry.entry.visible"   // it resolves, before its sender hears of it
	HookGrant        = "registry.grant.received"  // a grant of the parent's, before it is judged
	HookSend         = "registry.source.entries"  // entries are read, before they are sent
	HookSendSigned   = "registry.source.signed"   // the checkpoint that goes with them
	HookAcknowledged = "registry.source.acked"    // the parent has them, before that is noted
	HookHello        = "registry.mirror.hello"    // a child has said Hello, before it is let in
	HookNumber       = "registry.mirror.number"   // a new mirror, before it gets its number
	HookMirror       = "registry.mirror.received" // a child's entries, before they are queued
	HookMirrorSynced = "registry.mirror.synced"   // they are synced, before they are judged
	HookMirrorTaken  = "registry.mirror.taken"    // they answer, before the child hears of it
	HookAnchored     = "registry.anchor.replaced" // the anchor, before anything is cosigned under it
	HookReceiptKept  = "registry.receipt.synced"  // a receipt, before a level goes up
	HookGiveBack     = "registry.heal.given"      // entries of a mirror, before they are given back
	HookTakeBack     = "registry.heal.received"   // entries come back, before they are queued
	HookTookBack     = "registry.heal.synced"     // they are synced, before their checkpoint is
	HookCut          = "registry.heal.cut"        // a mirror is to be cut, before the first frame of that
	HookCutUnit      = "registry.heal.cutunit"    // a unit of what is kept is queued
	HookHeal         = "registry.heal.whole"      // nothing is missing, before the mark is taken away
	HookHealed       = "registry.heal.unmarked"   // the mark is away, before changes are taken
	HookIncarnation  = folder.HookBegun           // the place for another log is made, with nothing but the key in it
	HookAdopted      = "registry.next.adopted"    // the first unit of a log that is held above is in it
	HookMerged       = "registry.next.merged"     // all of the log that joins two histories is
	HookSuccession   = folder.HookDecided         // it is decided that it takes the place of the one that is here
	HookAside        = folder.HookAside           // that one is put aside, or gone
	HookInPlace      = folder.HookInPlace         // the other one is in its place
	HookSucceeded    = folder.HookSucceeded       // all is done, and nothing says so yet
)
