// Package state keeps what the logs of a node add up to: the records and
// delegations in force, and what is needed to serve and prove them. It lives in
// one bbolt file, holds nothing that the journal does not hold, and can be built
// from it again at any time. It knows nothing of what its rows mean.
//
// # A row's way
//
// The journal has it, synced, before the state hears of it. [Store.Publish] puts
// it into the overlay, in memory: from then on every reader finds it. The applier,
// [Store.Run], gathers what is published until nothing has come for 250 ms, for two
// seconds or 12,000 rows at the most, commits it to bbolt in the order of keys, at
// most 12,000 rows at a time, and drops it from the overlay. The rows of a batch, the journal offset behind it, the positions of the
// logs, their counters and digests become durable in one transaction; bbolt syncs
// each, and its free list with it.
//
// A crash loses the overlay. After a start the frames from [Store.Applied] on are
// published again; nothing else is done for recovery, and there is nothing else to
// do after a clean stop. The applier runs meanwhile, since the frames may be more
// than the overlay holds. Publishing a frame twice changes nothing: a batch that
// ends at or before what was published is skipped, and a row of a versioned table
// only ever replaces one of a lower version, in the overlay and in bbolt.
//
// # Tables
//
// A [Table] is a sorted table of octets. Every key begins with the number of the
// log that the row belongs to (u32, big-endian). The package puts it there, so two
// logs can never overwrite each other.
//
//	Records      versioned   key of an identifier → record or tombstone
//	Delegations  versioned   key of a prefix → delegation, revoked ones too
//	Hashed                   what the caller likes → suffix
//	Tiles                    level u8, number u64 → hashes of the Merkle tree
//	Notes                    what the caller likes
//	runs                     position u64 → journal offset u64; see [Reader.Run]
//
// The values of a versioned table carry their version in octets 1 to 8, big-endian,
// behind the octet of their format; all other octets are the caller's. Tombstones
// and revoked delegations are rows like any other, but they lie in a bucket of
// their own. So "is there anything alive below this prefix?" is one seek among the
// live rows, be there a million tombstones, and needs no index beside the table.
// What is withdrawn and not yet committed has to be skipped one by one; the
// overlay's limit bounds it.
//
// Run index: a row says at which journal offset the entry of a log at a position
// begins. One is kept for 256 entries or 64 KiB of journal, whichever comes first;
// that depends on the journal alone, so a state that is built again has the same.
//
// # The file
//
// One bucket per table, one for the withdrawn rows of each versioned table, "logs"
// (log number → position, [Totals], CRC-32C) and "nameplate state" (format, journal
// id, applied offset, CRC-32C). Values of the tables are summed by whoever makes
// them. Each bucket begins with a row of padding, so that bbolt does not keep it
// inside another's page and everything read lies in the mapped file. Pages have
// 4 KiB on every machine. The byte order of bbolt's own structures is that of the
// machine: to take a node elsewhere, take the journal.
//
// A new file appears under its name when it is whole. Its address space is set
// aside in advance (16 GiB), so it is not mapped anew while it grows, which would
// stop all readers. Pages that split are left 95 % full where keys arrive in order,
// in one stretch or in many, however slowly; half full otherwise. A commit writes
// to pages that no reader can see; their old versions are free from the next
// one on. So the file holds, beside its rows, about as much as the largest commit
// touched, and does not shrink.
//
// # Readers
//
// [Store.View] gives a snapshot: everything published before it and nothing later.
// It takes no lock of this package: the overlay is a tree whose old versions stay
// as they are, and a reader takes the newest with one atomic load. Then it opens a
// bbolt transaction. The order matters, see [Reader]'s begin: the other way round
// a row that is committed in between is found in neither.
//
// The overlay has generations: the one that is published into, and those that wait for
// their commit, one each, because bbolt keeps in memory whatever a commit touches. A reader
// asks the newest first, and bbolt last; of two equal versions of a row the older one
// counts, as in a commit. A generation goes when its commit is durable.
//
// Pages that an open reader may see are not written again, so a long reader makes
// the file grow. Views are to be short; [Store.Ascend] reads whole tables in many
// short transactions, from bbolt alone.
//
// # The index
//
// A search in bbolt waits for memory once for every step of a binary search on every
// page between root and row, some fifteen times. The index (Options.Index) is a table in
// a mapped file that leads from the hash of a live record's key to its page and element:
// three waits, and [Reader.LiveAll] lets those of many records run together.
//
// It holds hints and no truth. A hint counts where it leads to a leaf page of the very
// commit that the reader reads, which a bit for each page tells, and to a row that has
// the key: a tree has a key only once, so that is the row a search would find. In any
// other case, of a row that is not there too, bbolt is searched. So it is written
// without any sync, after the commit, and may be old, torn or damaged: that costs time
// and nothing else. Its header says which commit it knows wholly, from a clean close to
// the next opening. Without that the applier notes all rows again between its commits,
// a branch at a time. It does so too when the table was doubled, for those that had no
// place before, but then only while nothing is published. [Store.CheckIndex] compares it
// with the rows.
//
// A bucket of the table is one cache line of eight slots. A ninth row has no place and
// is searched for; at five rows a bucket on average, when the table is doubled, that is
// one in forty. So whoever chooses identifiers with one hash slows down his own.
//
// # Limits
//
// The overlay holds 64 MiB. A value that is replaced counts on, for its memory may be
// shared; but where the new one is the old one with more behind it, in the same memory,
// only that counts. When it is full [Store.Publish] waits for the applier, and
// [Store.WaitRoom] lets whoever writes the journal wait before it logs what could
// not be published.
//
// # Damage
//
// bbolt trusts its pages. [Open] therefore checks meta pages, free list and every
// branch page first (a hundredth of the file), and reads the checksums of its own
// rows; a commit checks every page before bbolt changes it. What damaged leaves make
// bbolt do in a reader, panic or touch memory that is not there, becomes a
// [*DamageError] of that call. A leaf's octets may be wrong without bbolt noticing: a
// wrong value fails its own checksum, if whoever made it gave it one that covers the
// key; a key that has changed hides its row. Whoever finds no row looks at those next
// to where it would stand, which shows nearly all of that. [Store.Check] finds both, and
// anything else, by the digests of the log. When the newer meta page is lost, the state is
// that of the commit before, and its applied offset says so. A file that is not ours,
// newer than we are, or of another journal is refused before bbolt writes to it.
//
// A commit that fails, for damage or a full disk, is final: nothing more can be
// published, readers go on, and the process should end. The journal has it all.
package state
