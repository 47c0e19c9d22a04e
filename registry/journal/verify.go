package journal

import "fmt"

// Report is what [Verify] found.
type Report struct {
	Segments    int
	Entries     uint64 // frames of KindEntry
	Checkpoints uint64 // frames of KindCheckpoint
	End         Offset // where the journal ends
	Torn        bool   // octets stand behind the end, which the next Open cuts off
}

// Verify reads a whole journal, from its first octet to its last, and changes
// nothing. Everything that [Open] finds it finds too, and beyond that changed
// octets where no frame stands. visit, unless nil, gets every frame that a caller
// appended, in order; its error ends Verify. No process may have the journal open.
func Verify(dir string, o Options, visit func(Located) error) (Report, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Report{}, err
	}
	l, err := list(o.FS, dir)
	if err != nil {
		return Report{}, err
	}
	if len(l.segments) == 0 {
		return Report{}, fmt.Errorf("there is no journal in %s", dir)
	}
	v := verifier{recovery: recovery{fsys: o.FS, listing: l, checker: checker{id: l.id}, readOnly: true}, visit: visit}
	defer v.closeFiles()
	bad, err := v.read(v.count)
	if err != nil {
		return v.report, err
	}
	if err := v.judge(bad); err != nil {
		return v.report, err
	}
	s := &v.segments[v.last]
	v.report.Segments, v.report.End = len(v.segments), s.offset(v.end)
	for i, used := range v.used {
		v.report.Torn = v.report.Torn || used < v.segments[v.last+i].size
	}
	return v.report, nil
}

// verifier is one run of Verify.
type verifier struct {
	recovery
	visit  func(Located) error
	report Report
}

// count counts one frame and passes it on. Behind one that ends a segment it
// looks at the rest.
func (v *verifier) count(w *walker, f Frame, at int64) error {
	switch f.Kind {
	case KindEntry:
		v.report.Entries++
	case KindCheckpoint:
		v.report.Checkpoints++
	case KindEnd:
		used, err := firstUsed(w.file, w.seg, w.at)
		if err == nil && used < w.seg.size {
			err = w.seg.damage(used, "the segment has ended before, and this octet is not zero")
		}
		return err
	}
	if v.visit == nil || !f.Kind.carried() {
		return nil
	}
	return v.visit(Located{f, w.seg.offset(at), w.seg.offset(w.at)})
}
