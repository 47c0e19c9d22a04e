// Package journal keeps the truth of a node: one sequence of frames, written once
// and never changed, which holds the node's own log, the mirrors of its children's
// logs and its notes. Everything else that a node stores follows from it. Beside
// the journal, the package has what makes a log of its entries: the Merkle tree
// ([Tree], proofs) and its signed statements ([SignCheckpoint]).
//
// # Promise
//
// When a synced callback runs, its frame and every frame appended before it are
// durable and will be read, in that order, by every later [Open] of the folder:
// after kill -9, after a power cut, after either of them during Open. A frame
// whose callback did not run may be there or not; if it is, all before it are, and
// none is ever read changed or in part. What was durable and has changed on disk
// is found, and refused with its place.
//
// # Use
//
// [Journal.Append] queues a frame and returns at once, so that the order of a log
// can be decided under a lock that is held while appending. One goroutine, the
// committer, takes everything that waits, writes it as one group with one write,
// syncs once, and takes what has come meanwhile: no timer gathers, the sync itself
// does. Another one calls the callbacks, while the next group is being synced.
// What waits is bounded (16 MiB). Append does not block when it is full, since it
// may be called under a lock that callbacks need too; it returns [ErrBusy], and
// the caller, with nothing locked, calls [Journal.Wait] and tries again.
//
// The journal always has the room for a frame before it takes it: either the
// active segment has it or the next one, which is preallocated. On a full disk
// Append returns [ErrFull] as soon as neither has; reading goes on, and so does
// appending once the next segment could be made, which is tried every second.
//
// After a write or a sync has failed nobody knows what the disk holds: the kernel
// may have dropped what it could not write, and a second sync would succeed
// without it. So nothing is retried. [Journal.Failed] fires, nobody is told of
// anything that was not synced before, and the process must end; the next Open
// finds out what is there.
//
// A backup is the journal up to a synced place: [Journal.Backup] copies it while
// appends go on, [Copy] does from another process. The copy is a journal, with the
// id and the places of its original; to restore is to open it, or a copy of it.
//
// # Files
//
// A folder holds segments, named by their number from 0 on in 16 hexadecimal
// digits and ".seg". Each is as long as its header says from the moment it has its
// name, and is neither renamed, shortened nor removed. A place in the journal
// ([Offset]) counts the octets of all segments from the first one on, headers and
// unused rests included. Numbers are unsigned and big-endian. A segment begins
// with 64 octets:
//
//	 0   4  "NPJ1"
//	 4   4  format, 1
//	 8   8  number of the segment
//	16   8  place of its first octet in the journal
//	24   8  octets of the file, 4 KiB to 1 GiB
//	32  16  journal id: random, drawn when the journal begins
//	48  12  zero
//	60   4  CRC-32C (RFC 3720, appendix B.4) of octets 0 to 59
//
// In every later format the first 64 octets will have this form, so that an older
// version can say what it cannot read.
//
// Then frames follow on one another, without padding, and then zeros to the end.
// A frame is
//
//	 0   4  length of the whole frame in octets, 21 to 21 + 2 MiB
//	 4   4  CRC-32C of: journal id, number of the segment (8), octet of the segment
//	        at which the frame begins (8), length (4), frame from octet 8 to its end
//	 8   4  log number
//	12   8  position
//	20   1  kind
//	21   -  payload
//
// The checksum covers where the frame stands because a disk can put right octets
// in a wrong place, and because octets of an earlier use of the same blocks, or of
// another journal, must not pass for frames. A length of zero says that no frame
// stands here. Every other length outside the range, or beyond the segment's end,
// is a bad frame like one whose checksum does not match; nothing is allocated
// before the length was checked.
//
// Kinds: 1 group, 2 end of segment, 3 entry, 4 checkpoint, 5 mirrored entry, 7 session,
// 9 quarantine, 11 acknowledged, 12 certain. Reserved, and refused by name: 6 receipt, 8 fence, 10
// vote. A frame of any other kind with a right checksum comes from a newer version and is
// refused by its number; it is never skipped.
//
// Groups. What is synced together is a group: a frame of kind 1, then the frames.
// Its log number and position are 0 and its payload is
//
//	 0  16  journal id
//	16   8  the place up to which the journal was synced before the group was written
//
// The place is never behind the group itself and never goes down from one group to
// the next. A group lies in one segment. The first frame of a segment is a group.
//
// Closing. When nothing has waited for 50 ms, and when the journal is closed, an
// empty group is written behind the last one and synced: it proves that the last
// frames were synced. Without it, damage to them would look like a torn tail.
//
// End of a segment. Frames never straddle segments. When the next frame does not
// fit, a frame of kind 2 (its payload like that of a group) is written behind the
// last one and synced before anything is written to the next segment: it says that
// the next segment is there and that the journal goes on in it. Groups leave 90
// octets of a segment free, so that an empty group and an end always fit. Octets
// behind the end stay zero.
//
// Making a segment. It is written as ".seg.new", given room for all its octets
// (fallocate, or zeros), its header is written, the file synced, given its name,
// and the folder synced. So a file with the name of a segment is whole, and what a
// crash left half-made is removed by the next Open. The next segment is made while
// the active one is being filled; the one after that only once the active one has
// ended. A segment is not written to before it has its name and that is durable.
//
// # Recovery
//
// Open reads from the beginning of the segment that holds the given place. At the
// first octet X where no good frame stands, it looks behind X, at every octet of
// this segment and of all later ones, for a frame of kind 1 or 2 of this journal,
// with a right checksum, that says that a place beyond X was synced. (The journal
// id is random and not published, so nobody can put such a frame into a payload.)
//
//   - If there is one, or a segment later than the next one, or the caller has
//     known of a place beyond X, then what stood at X was synced and has changed:
//     that is damage. Open returns a [*DamageError] and changes nothing.
//   - Otherwise X is the end. What stands behind it was never synced, since the
//     group after it was never begun: it is a torn tail, and is cut. All octets
//     from X on that are not zero are made zero, in this segment and the next, so
//     that they cannot become frames again when new ones lead up to them.
//
// Then everything from the last place that is proven to be synced up to X is
// written again, the same octets, and synced: after a crash of the process it may
// only be in the kernel's memory, and after a failed sync the kernel may hold it
// without ever meaning to write it. Only then Open returns, and what Read and Scan
// give is durable. A crash during Open leaves what the next Open mends alike.
//
// A folder in which a segment is missing, shorter or longer than its header says,
// or has a damaged header is refused with a *DamageError; a file that is not a
// segment, has a newer format or belongs to another journal, with a [*FormatError].
// [Verify] reads everything from the beginning, and also finds changed octets where
// no frame stands.
//
// # What it does not do
//
// It does not lock the folder: the caller sees to it that one process has it open.
// It does not repair damage. It cannot tell damage to the last group from a torn
// tail if the node stopped within those 50 ms, or if the same damage took the group
// that closes it; who knows a place or a checkpoint behind it can, and gives the
// place to Open. On file systems that copy on write
// (btrfs, ZFS), where even a write to a preallocated segment can find the disk
// full, a full disk ends the journal like any other write that failed.
package journal
