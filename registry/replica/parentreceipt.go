package replica

// receipt is a receipt for the child, and whether it is to be sent.
type receipt struct {
	receipt *Receipt
	size    uint64
	due     bool
}

// Anchor says how many entries the child may take as held above; the child is told with
// the next Ack.
func (p *Parent) Anchor(size uint64) {
	if size > p.anchored {
		p.anchored, p.ack = size, true
	}
}

// Cosign gives the child a receipt for so many entries, in place of an older one.
// [Anchors] decides for which there may be one.
func (p *Parent) Cosign(r *Receipt, size uint64) {
	for i := range p.receipts {
		if (i == 0 || r.Top) && size > p.receipts[i].size {
			p.receipts[i] = receipt{receipt: r, size: size, due: true}
		}
	}
	if p.receipts[0].receipt == p.receipts[1].receipt {
		p.receipts[0].due = false // it goes as a rooted one
	}
}

func (p *Parent) cosigned(i int) Message {
	p.receipts[i].due = false
	return &Cosigned{Session: p.session, Receipt: p.receipts[i].receipt}
}

// missing sends again the receipts that the child has not stored.
func (p *Parent) missing(anchored, rooted uint64) {
	for i, has := range [2]uint64{anchored, rooted} {
		r := &p.receipts[i]
		r.due = r.receipt != nil && r.size > has
	}
	if p.receipts[0].receipt == p.receipts[1].receipt && p.receipts[1].due {
		p.receipts[0].due = false
	}
}
