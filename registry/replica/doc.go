// Package replica is the replication protocol: how the log of a child gets to its
// parent, every entry once, in order, byte for byte, and how either side notices that
// the other is not what it was. [Child] and [Parent] are its two sides, as state
// machines. They do no I/O, start no goroutines, read no clock and draw nothing at
// random: whoever drives them (registry/rpc does) tells them what came, what was
// stored and that time has passed, and asks them what is to be sent. So a test can let
// anything happen to the code that a node runs.
//
// # Promise
//
// A parent's mirror is at any time the beginning of the child's log, up to a
// checkpoint that the child signed: the parent works out the root itself before it
// stores anything. It acknowledges what is on its disk, and nothing else. It holds at
// most its credit of a child's entries in memory. The child holds none: it reads its
// log again from wherever the parent is. Neither waits for the other with anything but
// the stream between the two.
//
// Once nothing goes wrong any more, the mirror is the whole log within a few
// heartbeats, whatever happened before: messages lost, doubled, reordered or delivered
// on a later stream; either side killed at any point, with any part of what it had not
// synced lost.
//
// It is not promised here that an entry is worth anything. The parent judges each by
// the log before it, keeps those that break a rule like all others, and marks them:
// they never block the log. (It looks no further than the leaf, which the tree hashes.
// The rows of a change are bound by the header in its leaf; rows that do not fit are a
// broken rule like any other.)
//
// # Messages
//
// A stream is opened by the child. On it:
//
//	Challenge  ↓  a fresh nonce and the parent's key
//	Hello      ↑  who the child is, its log, a checkpoint over all that it has synced,
//	              how much the parent has ever acknowledged, a fresh nonce; signed over
//	              the challenge
//	Welcome    ↓  a session, the checkpoint that the mirror ends with, credit, the next
//	              fence; signed over the Hello's nonce
//	Entries    ↑  entries from a position on, and a checkpoint that ends with them
//	Advance    ↑  to a witness: a larger checkpoint, and the proof that it follows
//	Ack        ↓  so many entries, with this root, are on disk; new credit
//	Nack       ↓  go on with this position instead
//	Fetch      ↑  which entry of its own log the child lacks
//	Return     ↓  the unit of the mirror that holds it
//	Cosigned   ↓  a checkpoint of the child, cosigned: the level above holds it
//	Control    ↓  wait, go on, or end the stream and come back later
//	Grant      ↓  a delegation or keyset of a prefix that is the child's
//	Heartbeat  ↑  how far the child has sent, how much it has, which grants it took,
//	              for how many entries it has stored receipts
//	Refuse     ↕  the end of the stream, and why
//
// Beside the stream there is one question: a node asks for a unit of its own log as it is
// mirrored, when it has none of it, or two histories of it.
//
// # Duties of the child
//
// It answers the first Challenge of a stream with one Hello. It takes a Welcome that
// echoes the nonce of that Hello and is signed by the key that the Challenge named:
// one of an earlier stream tells of a mirror that may not be there any more. The
// checkpoint in it must be its own; its log must have as many entries, and the same
// root at that size. Fewer entries mean that the child was restored (Behind, see
// Healing); another root, that two histories were signed (Fork). Then it sends entries
// from there on.
//
// Every Entries message ends at a checkpoint that the child signs for it, over synced
// entries. It has at most [MaxEntries] entries and [MaxOctets] octets. The octets of
// payloads that were sent and are not acknowledged never exceed the credit. (After a
// Nack what lies beyond its position counts as not sent.) An Ack whose root is not that
// of the child's log ends the stream. An Ack for more than was ever sent in the session
// does so too.
//
// It takes grants in the order of their numbers, each after the one before was dealt
// with. Its heartbeat asks again for those that did not arrive.
//
// # Duties of the parent
//
// It checks the Hello ([CheckHello]), asks its registry whether a delegation names
// that node key, and opens the stream ([Parent.Open]); of two streams of one log the
// newer one counts. While entries of the last stream are on their way to the disk it
// does not answer: only then it is certain where the mirror ends. Then the checkpoint in
// the Hello must not have another root than the mirror has at that size, where the
// mirror has as many entries.
//
// Of Entries it skips what it has. What does not follow on that is not taken and
// answered with a Nack. The rest must add up, with all before it, to the root in the
// checkpoint; else nothing is stored and the stream refused (Mismatch). What is taken
// is one [Unit], to be stored as a whole. An Ack follows when it is synced, not before.
//
// Credit never counts before the child can have heard of it: the parent takes what was
// under way when it lowered it. It is 0 (wait) or at least [MaxOctets], so that every
// entry fits.
//
// When its disk is nearly full it asks the child to wait (Control, Pause): its credit is 0
// then, and it still takes in what was under way, for which it has kept room. It asks
// again with every heartbeat, and says Resume when there is room. A parent that is being
// stopped asks the child to end the stream (Drain): the child sends nothing more, waits
// until what it has sent is acknowledged, ends the stream between two messages, and
// comes back after the time that it was given.
//
// # Both
//
// A message of another session is dropped, whatever it says. Sessions are random, not
// counted: a restored parent could count the same number twice.
//
// A heartbeat's time after time, each side says that it is there: the child with a
// Heartbeat, the parent by repeating its Ack. After two of them without a word the
// stream is given up. These repeat all that may have been lost: a heartbeat that tells
// of entries which did not arrive is answered with a Nack.
//
// The first reason to refuse ends a stream on that side; the other side is told. The
// child connects again after a while. What only people can mend (Fork, another log) is
// refused each time, by its name; the rest ([Reason.Passing]) passes.
//
// # Healing
//
// A node that was restored, or whose start cannot rule that out, is marked
// ([Child.Mark]): it writes nothing, and takes in nothing of its own children, until its
// parent has said how much it holds. A node that hears of it only from a Welcome ends
// the stream (Behind), is marked, and opens another one: in between nothing more gets
// into its log, so that what it says in the next Hello stays so.
//
// The parent has compared the root in that Hello with its mirror's at the same size. So
// the child's log is the beginning of the mirror, or there is a fork. The child asks for
// the first entry that it lacks (Fetch), and gets the unit that holds it (Return), as it
// once sent it: with the checkpoint that it once signed. It believes no parent: what it
// has and what comes back must add up to the root in that checkpoint. One unit is under
// way at a time, so neither side holds more of it in memory; the next Fetch follows its
// sync. What is lost is asked for again with the next heartbeat. When the child has all
// that the mirror has, it is healed ([Child.Healed]), and works again ([Child.Unmark]).
//
// A child remembers how much each parent has ever acknowledged. A Welcome with less says
// that the parent was restored; both sides tell their operators ([ChildStatus.Lost],
// [ParentStatus.Lost]), and the parent gets the rest again. It has healed its own log
// before, since it is marked as well.
//
// Where child and parent were both restored, neither knows what was lost. The parent's
// own log does, which the level above gave back: it says how many entries the mirror
// once had ([Row]). What of a mirror agrees with such a row is certain ([Cut]); when a
// larger row contradicts it, it is cut to that. What is there beyond the rows may be of a
// history that was given up, or the only copy of what the child has lost: the child says so
// when it comes ([Greeted], [Resent]), and the mirror is cut when it does not go on with it.
// The node's own log is not cut to what the level above holds. Where that is less, it was
// restored as well, and gets the rest: a cut would lose what is anchored (TestRestoredLogIsNotCut).
// Where it is something else, two histories were signed, and the upper one comes first in
// the log that continues both (Incarnations). When both have less than the largest row, acknowledged entries
// are lost (Loss): the child takes no changes, and people are told.
//
// # What is durable when, and what a crash leaves
//
//   - The child needs nothing but its log and its mark: after a crash at any point it
//     asks the parent where it is. Entries that it had not synced were never sent. What
//     the parent has acknowledged it remembers only to notice that the parent forgot: it
//     may be some time old.
//   - A child that gets entries back appends them as they come. After a crash it has a
//     part of them, is marked still, and asks for the rest.
//   - The parent stores units. A unit is synced before its Ack is sent. A crash before
//     the sync leaves it there or not there; either way the child sends from where the
//     Welcome says. A unit counts as a whole: [AppendUnit] puts it into one frame of the
//     journal, so that a torn one is cut off as a whole.
//   - A crash between sync and Ack leaves more in the mirror than the child knows of.
//     The Welcome tells.
//   - A parent that has lost its disk welcomes with nothing, and gets everything again.
//   - A witness stores one checkpoint with its proof at once, as it would a unit.
//
// # Forks
//
// Two checkpoints of one log with one size and two roots, both signed by the node's
// key, prove to anybody that the node has signed two histories. So do two of different
// sizes, with a consistency proof that ends at the larger one and begins with another
// root than the smaller one has ([Evidence]). Whoever notices sends the other what it
// lacks. A child that finds its own log to be another than the mirror signs its root at
// that size; a parent whose mirror has more entries than the child proves what the root
// was at the child's size. A parent that has evidence already shows both checkpoints: the
// child may have no more than what both histories begin with. Neither takes the other's
// word for it: what does not check is a refusal like any other.
//
// Both keep the evidence. The child takes no changes any more, and the parent nothing of
// that log, until people have looked at it. Everybody else goes on.
//
// # Fences
//
// A child that leaves out a grant which takes a key away gains nothing by it: the parent's
// registry judges what follows on the fence by that grant (registry/fence.go). The fence is
// where the child's log ended in a Hello, and until the mirror has got there the Welcome
// names it ([Fence]): no Entries message steps over it, and each proves that it leads there.
// So what stands before the fence was in the log when the child said Hello, and nothing that
// came later. A child that cannot prove it ends with a refusal that passes (Unproved); the
// parent then sets another fence, where the mirror ends.
//
// # Incarnations
//
// A log that has forked, or of which entries are lost for good, is continued as another
// one, its next incarnation, when an operator says so; a top-level node continues its log
// so after every restore. Its genesis names the log that it continues, and why; behind
// that the newest rows of its children are repeated, and then what stood in the log
// before is logged again. [Lineage] decides, at whoever mirrors it, which log counts: a
// Hello changes nothing, and the first entries do, when they say what they must. The one
// before stays as it is, as evidence. Whoever comes with it later was restored to a time
// before (Succeeded).
//
// A node that is restored together with the one above it may go on twice, and no log of the
// two contains the other. So a genesis names all logs that it continues
// ([identifier.Predecessor]), and one counts only where it names the one that counted; else
// two stand beside each other ([Lineage.Beside]). What keeps anything of the first one from
// being lost:
//
//   - A top-level node that was restored, and has its own log whole, takes from the others
//     what they hold of its children ([Lineage.Recalls]), before it lets any of these in: so
//     many must have an answer as must for its own log. What is anchored it then has, and the
//     child gets it back, or adopts it.
//   - What one alone holds that was not asked shows later, because that one refuses the log
//     that follows on what it does not know. Then it is taken in as well, beside the one that
//     counts, and the child is refused (Succeeded) until it has joined the two in a log that
//     names both.
//   - Nobody holds it, and a row in the node's own log says that there was one: acknowledged
//     entries are lost (Loss), and people are told.
//
// Nobody gives up a log for one that does not name it. So whoever has stolen a node's key, and
// makes the node above forget what it had, gains nothing at the others.
//
// A top-level node has nobody above who knows all that was anchored. It has healed when
// it has heard as many of the others as cannot all be without an entry that was anchored
// ([Recovery]): three of four. What a fourth one holds alone it cannot know; so it does not
// go on with its log, but with another one.
//
// # Anchors
//
// Once a second a parent logs, in its own log, a row for every child whose log has grown:
// size, root, and the child's signature over them. [Anchors] decides which rows it may
// cosign: those that the level above has acknowledged. That is the parent's own parent,
// for all that stands in the part of the parent's log that it acknowledges for anchoring
// (Ack); at the top, more than half of the top-level nodes, three of five, which hold the
// child's entries themselves and the row; at a node that has nobody above it, the anchor file on
// another volume. A node without any of them cosigns nothing. A row's size never goes
// down, and has one root.
//
// The child stores the cosigned checkpoint as its [Receipt], and is told later when
// a top-level node has cosigned the parent's checkpoint that covers the row: the receipt
// then has a [Link] for each level, and proves it to whoever knows the keys.
//
// The parent stores nothing of that but the rows. After a crash it reads the newest row of
// each log again, hears from above what is held there, and cosigns, perhaps a second time.
// A receipt that was lost on the way, or that the child did not get to its disk, comes
// again after the heartbeat that does not name it.
//
// # Top-level nodes
//
// Each sends each of the others its own log, and the logs of its children as it has them:
// the Hello then names whose log it is (Owner) beside who sends it. Entries end where the
// child signed a checkpoint. The other side believes the sender nothing but that it is
// one of the top-level nodes.
//
// # Policies
//
// The Welcome says what the parent keeps of the log. Of a mirror it gets whole entries. Of
// pointers it gets entries without the contents of their rows and without what the salts
// of these are drawn from ([identifier.SealEntry]): they have the same leaves, so all that
// is said above of roots, checkpoints, forks, rows and receipts holds as it is. But such a
// parent cannot give a child back what it has lost: one that has fewer entries is refused
// (Loss), unless its tip shows a fork.
//
// A witness gets no entries but the log's first, with which a log begins to count. The child
// leads it from the checkpoint that it has to one over everything that is synced (Advance),
// with the consistency proof between the two; what is synced meanwhile goes with the next.
// The witness checks the proof before it stores anything, and acknowledges what is synced. An
// Advance from another size than the one that it has is answered with a Nack. One from
// another root, whose proof is good, is a fork: that proof and the two checkpoints are the
// evidence, as in any other fork. One whose proof is not good proves nothing, and is refused
// (Mismatch). An honest child finds its fork itself, since the Welcome shows it the checkpoint
// that the witness has.
//
// A child with fewer entries than are witnessed is refused (Loss), or shown the fork where a
// checkpoint of its very size was kept. A witness that was restored goes on from the row in its
// own log, when that is larger than the checkpoint that it finds on its disk: what a row says
// was proved before it was logged; so it acknowledges that for anchoring at once, and does not
// wait for the child's next checkpoint. One that has nothing of the log names the row as a
// [Fence] in its Welcome, and the child's first Advance brings the first entry and leads there.
// Rows, cosignatures and receipts are those of any child. At the top nobody can hold more of a
// witnessed log than the row in the witness's own log, so that is what enough top-level nodes
// must hold before it is cosigned; a log that is witnessed is not sent to peers.
//
// A parent that is to keep something else than before welcomes with what it has by the new
// policy, nothing at first, and says how much it has by the one before (Held): so the child
// does not take it for restored. What was kept before is a [Row] to the other, which it must
// not contradict; a witness begins with it.
package replica
