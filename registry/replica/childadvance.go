package replica

// advance returns what leads a witness from what it has to all that is synced here, or to
// where it has to begin. What is synced while one is under way goes with the next.
func (c *Child) advance() Message {
	if c.left.lacks(ruleMarked, !c.marked) || c.holdsBack() || c.sent >= c.size || len(c.flights) > 0 || c.under+max(c.need, 1) > c.credit {
		return nil
	}
	m, end := &Advance{Session: c.session, Old: c.sent}, c.sent+c.toFence(c.size-c.sent)
	note, root, err := c.config.Log.SignCheckpoint(end)
	if err == nil {
		m.Checkpoint, err = note, c.leads(m, end)
	}
	if err != nil {
		return c.unreadable(err)
	}
	if c.under+m.octets() > c.credit {
		c.need = m.octets()
		return nil
	}
	c.flights = append(c.flights, flight{end: end, octets: m.octets(), root: root, known: true})
	c.under += m.octets()
	c.sent, c.offered, c.need = end, max(c.offered, end), 0
	return m
}

// leads fills in what proves that the checkpoint of an Advance, over so many entries, follows
// on what the witness has.
func (c *Child) leads(m *Advance, end uint64) (err error) {
	from := m.Old
	if from == 0 {
		first, err := c.config.Log.Entries(0, 1, MaxOctets)
		if err != nil {
			return err
		}
		m.First, from = first[0], 1
	} else if m.Root, err = c.config.Log.Root(from); err != nil {
		return err
	}
	if from < end {
		m.Proof, err = c.config.Log.Prove(from, end)
	}
	return err
}
