package journal

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// CosignerName returns the name under which a node cosigns the checkpoints of other
// logs: it stands for the node, whatever log the node has.
func CosignerName(key identifier.PublicKey) string {
	id := key.ID()
	return "nameplate.id/node/" + hex.EncodeToString(id[:])
}

// Cosign returns a checkpoint of a log with a node's cosignature below the signature
// of the log's own key (C2SP tlog-cosignature/v1, Ed25519). Other signatures are left
// out.
//
//	— nameplate.id/node/<key id> <base64 of key id, 4 octets; time, u64; signature>
//
// The key id is the first four octets of SHA-256(name ‖ 0x0A ‖ 0x04 ‖ public key). The
// signature is over
//
//	cosignature/v1
//	time <seconds since 1970, decimal>
//	<the text of the checkpoint>
//
// The error says that the checkpoint is not one of that log and key. Cosign only what
// the level above holds.
func Cosign(checkpoint []byte, log identifier.LogID, key identifier.PublicKey, at time.Time, by identifier.PrivateKey) ([]byte, error) {
	size, root, err := VerifyCheckpoint(checkpoint, log, key)
	if err != nil {
		return nil, err
	}
	signature, err := CheckpointSignature(checkpoint, log, key)
	if err != nil {
		return nil, err
	}
	signed, err := AssembleCheckpoint(size, root, log, key, signature)
	if err != nil {
		return nil, err
	}
	if by.IsZero() || at.Unix() < 0 {
		return nil, errors.New("cosign a checkpoint: there is no key, or the time lies before 1970")
	}
	name := CosignerName(by.Public())
	id, err := noteKeyID(name, noteCosignature, by.Public())
	if err != nil {
		return nil, err
	}
	seconds := uint64(at.Unix())
	b := binary.BigEndian.AppendUint32(nil, id)
	b = binary.BigEndian.AppendUint64(b, seconds)
	b = append(b, by.Sign(cosigned(seconds, checkpointText(size, root, log)))...)
	return fmt.Appendf(signed, "— %s %s\n", name, base64.StdEncoding.EncodeToString(b)), nil
}

// VerifyCosignature returns when a node cosigned a checkpoint. The error says that it
// did not. What the checkpoint says, and who signed it, is for [VerifyCheckpoint].
func VerifyCosignature(checkpoint []byte, by identifier.PublicKey) (time.Time, error) {
	name := CosignerName(by)
	id, err := noteKeyID(name, noteCosignature, by)
	if err != nil {
		return time.Time{}, err
	}
	if len(checkpoint) > MaxCheckpoint {
		return time.Time{}, fmt.Errorf("a checkpoint has at most %d octets, not %d", MaxCheckpoint, len(checkpoint))
	}
	v := &cosigner{verifierKey: verifierKey{name, id, ed25519.PublicKey(by.Raw)}}
	if _, err := note.Open(checkpoint, note.VerifierList(v)); err != nil {
		return time.Time{}, fmt.Errorf("cosignature of node %s: %w", by, err)
	}
	return time.Unix(int64(v.seconds), 0).UTC(), nil
}

// CheckpointSignature returns the signature of the log's own key below a checkpoint,
// which [AssembleCheckpoint] makes the checkpoint of again.
func CheckpointSignature(checkpoint []byte, log identifier.LogID, key identifier.PublicKey) ([]byte, error) {
	name := Origin(log)
	id, err := noteKeyID(name, noteEd25519, key)
	if err != nil {
		return nil, err
	}
	n, err := note.Open(checkpoint, note.VerifierList(&verifierKey{name, id, ed25519.PublicKey(key.Raw)}))
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(n.Sigs[0].Base64)
	if err != nil || len(b) != 4+ed25519.SignatureSize {
		return nil, fmt.Errorf("the signature of log %s has %d octets", log, len(b))
	}
	return b[4:], nil
}

// AssembleCheckpoint returns the checkpoint that says this size and root of a log, with
// the signature of its key, as [SignCheckpoint] would have made it. The error says that
// the signature does not verify: what was signed has extension lines, or is another.
func AssembleCheckpoint(size uint64, root identifier.Hash, log identifier.LogID, key identifier.PublicKey, signature []byte) ([]byte, error) {
	name := Origin(log)
	id, err := noteKeyID(name, noteEd25519, key)
	if err != nil {
		return nil, err
	}
	text := checkpointText(size, root, log)
	if !key.Verify([]byte(text), signature) {
		return nil, fmt.Errorf("checkpoint of log %s: %d entries with root %x are not what was signed", log, size, root)
	}
	b := append(binary.BigEndian.AppendUint32(nil, id), signature...)
	return fmt.Appendf(nil, "%s\n— %s %s\n", text, name, base64.StdEncoding.EncodeToString(b)), nil
}

// checkpointText is what is signed of a checkpoint.
func checkpointText(size uint64, root identifier.Hash, log identifier.LogID) string {
	return fmt.Sprintf("%s\n%d\n%s\n", Origin(log), size, base64.StdEncoding.EncodeToString(root[:]))
}

// cosigned is what a cosigner signs.
func cosigned(seconds uint64, text string) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, text)
}

// noteCosignature is the signature type of C2SP tlog-cosignature for Ed25519.
const noteCosignature = 4

// cosigner is a note.Verifier that remembers the time.
type cosigner struct {
	verifierKey
	seconds uint64
}

// Verify implements [note.Verifier].
func (c *cosigner) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	seconds := binary.BigEndian.Uint64(sig)
	if seconds > 1<<62 || !ed25519.Verify(c.key, cosigned(seconds, string(text)), sig[8:]) {
		return false
	}
	c.seconds = seconds
	return true
}
