package state

import (
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// loadLogs reads the position, the totals and the last run of every log.
func (s *Store) loadLogs(tx *bbolt.Tx, snap *snapshot) error {
	b, err := bucket(tx, logsBucket)
	if err != nil {
		return err
	}
	e := new(edit)
	return b.ForEach(func(k, v []byte) error {
		if string(k) == padKey {
			return nil
		}
		log, position, totals, err := parseLog(k, v)
		if err != nil {
			return brokenf("%v", err)
		}
		l := &logState{position: position}
		if err := l.loadRun(tx, log); err != nil {
			return err
		}
		s.logs[log], s.totals[log] = l, totals
		snap.positions.put(e, row{key: appendKey(nil, log, nil), value: binary.BigEndian.AppendUint64(nil, position)})
		return nil
	})
}

// loadRun reads the last run of a log.
func (l *logState) loadRun(tx *bbolt.Tx, log uint32) error {
	if l.position == 0 {
		return nil
	}
	b, err := bucket(tx, runs.String())
	if err != nil {
		return err
	}
	want := runRow(log, l.position, 0).key
	c := b.Cursor()
	k, v := c.Seek(want)
	switch {
	case k == nil:
		k, v = c.Last()
	case string(k) != string(want):
		k, v = c.Prev()
	}
	if len(k) != len(want) || len(v) != 8 || string(k[:logSize]) != string(want[:logSize]) {
		return brokenf("log %d has entries and no run", log)
	}
	l.runPosition, l.runAt, l.hasRun = binary.BigEndian.Uint64(k[logSize:]), binary.BigEndian.Uint64(v), true
	return nil
}
