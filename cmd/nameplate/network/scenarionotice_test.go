package network_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// broken is a rule that nodes leave out which are started from a folder with its name. All of
// them are in one program.
type broken struct {
	rule string // what such a node does
	edit        // LEFT stands for whether the rule is left out
}

// The rules that scenarios are there for.
var rules = map[string]broken{
	"forgetful": {rule: "never syncs its journal"}, // a program of its own
	"unmarked": {"writes and answers before it has asked what it lacks", edit{"registry/marked.go",
		"	if why != \"\" {\n		r.config.Log.Warn(\"no changes are taken\", \"why\", why)\n		r.marked", "	if why != \"\" && !LEFT {\n		r.config.Log.Warn(\"no changes are taken\", \"why\", why)\n		r.marked"}},
	"uncopied": {"does not notice that its folder is a copy", edit{"registry/marked.go", "	case copied && r.asks():\n", "	case copied && r.asks() && !LEFT:\n"}},
	"unforked": {"goes on writing when it has forked", edit{"registry/replica/standing.go", "{ return !s.Forked && !s.left", "{ return (!s.Forked || LEFT) && !s.left"}},
	"unjoined": {"does not join what is held above with its backup", edit{"registry/otherhistory.go",
		"	return err == nil && p.Forked(), err\n", "	return err == nil && p.Forked() && !LEFT, err\n"}},
	"hurried":   {"says Hello before its parent had an answer", edit{"cmd/nameplate/node/node.go", "	if !asked {\n", "	if !asked && !LEFT {\n"}},
	"unadopted": {"does not adopt the log that is held above", edit{"cmd/nameplate/node/incarnation.go", "err == nil && r.Adopts(held),", "err == nil && r.Adopts(held) && !LEFT,"}},
	"unrowed": {"does not heed the row in its own log", edit{"registry/replica/parentwelcome.go",
		"	if p.left.lacks(ruleRow, max(p.tip, p.stored) >= row.Size) {\n", "	if !LEFT && p.left.lacks(ruleRow, max(p.tip, p.stored) >= row.Size) {\n"}},
	"unsent": {"refuses a child of which it has lost entries", edit{"registry/replica/parent.go",
		"			p.lost = m.Acked\n", "			p.lost = m.Acked\n			if LEFT {\n				p.end(refuse(Loss, \"entries are not here any more\"))\n			}\n"}},
	"unheard": {"goes on when two of the other top-level nodes are heard", edit{"registry/replica/incarnation.go",
		"	nodes := peers + 1\n", "	nodes := peers + 1\n	if LEFT {\n		nodes = 3\n	}\n"}},
	"unsigned": {"takes any key for the holder's", edit{"registry/judge.go",
		"	case n >= d.Keyset.Threshold:\n		return d, nil\n", "	case n >= d.Keyset.Threshold || LEFT && len(e.Signatures) > 0:\n		return d, nil\n"}},
	"dependent": {"registers only while its parent is there", edit{"registry/rpc/server.go",
		"	return s.registry.Register(ctx, c)\n",
		"	if up := s.options.Upstream; LEFT && up != nil && up() != nil && !up().Connected {\n		return registry.Receipt{}, context.DeadlineExceeded\n	}\n	return s.registry.Register(ctx, c)\n"}},
	"unmirrored": {"does not answer from mirrors", edit{"registry/mirrored.go",
		"m.policy != identifier.PolicyMirror || r.serves() != nil {", "m.policy != identifier.PolicyMirror || r.serves() != nil || LEFT {"}},
	"lone": {"cosigns what it alone holds", edit{"registry/replica/anchors.go", "	if a.left == ruleQuorum {\n", "	if a.left == ruleQuorum || LEFT {\n"}},
	"kept": {"keeps what was given to another node", edit{"registry/source.go",
		"	kind := identifier.EntryGrant\n	if g.keysetOnly {\n",
		"	if LEFT && g.delegation.Node != nil && g.delegation.Node.Key != s.r.Key() {\n		return nil\n	}\n	kind := identifier.EntryGrant\n	if g.keysetOnly {\n"}},
	"credulous": {"believes who has no authority", edit{"resolver/judge.go", "	case !a.InZone:\n", "	case !a.InZone && !LEFT:\n"}},
	"trusting": {"believes any signature of a Handle server", edit{"resolver/handle/certify.go",
		"		return rsa.VerifyPKCS1v15(", "		return LEFT || rsa.VerifyPKCS1v15("}},
	"single": {"follows one referral and no more", edit{"resolver/walk.go", "	if c.depth > MaxReferrals {\n", "	if c.depth > MaxReferrals || LEFT && c.depth > 1 {\n"}},
	"devoted": {"asks one top-level node and no other", edit{"resolver/ask.go", "	nodes := c.nodes\n	if len(nodes) > 1 {\n",
		"	nodes := c.nodes\n	if LEFT && c.parent == nil {\n		nodes = nodes[:1]\n	}\n	if len(nodes) > 1 {\n"}},
}

// withRules is the program whose nodes leave out what the folder that it lies in says.
func withRules() mutant {
	all := mutant{name: "all"}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		e := rules[name].edit
		if e.file == "" {
			continue
		}
		e.to = strings.ReplaceAll(e.to, "LEFT", fmt.Sprintf("identifier.LeftOut(%q)", name))
		all.edits = append(all.edits, e)
	}
	return all
}

// leaves returns the program whose nodes leave out a rule. The rule is in the name of the
// folder that it lies in.
func leaves(rule string) (string, error) {
	if rule == forgetful.name {
		return forgetful.build()
	}
	file, err := withRules().build()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(file), "without-"+rule)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	to := filepath.Join(dir, "nameplate")
	if err := os.Link(file, to); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return to, nil
}

// noticed are the scenarios with the node on which each is to fail, and where: at the first
// line with that text behind the one with the other.
var noticed = []struct {
	scenario      string
	without       string // a rule
	behind, fails string
	until         string // it may also fail behind that line, up to this one; empty when it may not
}{
	{"oldbackup", "unmarked", "cut maker", "! register maker 88.118.8/sn-4 https://maker.example/4", ""},
	{"parentlost", "unmarked", "cut pumps", "expect pumps 88.118.7/sn-1 nothing", ""},
	{"clone", "uncopied", "cut maker", "! register maker 88.118.8/sn-3 https://maker.example/3", ""},
	{"fork", "unforked", "join maker", "awaitstatus maker 'two histories of log [0-9a-f]+ were signed'", ""},
	{"topfork", "unforked", "start west north", "awaitstatus east 'two histories of log [0-9a-f]+ were signed'", ""},
	{"forkwitness", "unforked", "join maker", "awaitstatus maker 'two histories of log [0-9a-f]+ were signed'", ""},
	{"givenup", "unjoined", "exec nameplate restore given ", "mirrored maker", ""},
	{"lateparent", "hurried", "exec sleep 4", "awaitstatus maker 'it is asked what it holds before anything is sent'", ""},
	{"lostchild", "unadopted", "wipe maker", "await maker 88.118.8/sn-2 found https://maker.example/2", ""},
	{"bothrestored", "unrowed", "start pumps maker", "awaitstatus maker 'entries that were acknowledged are lost on both'", ""},
	{"lost", "unrowed", "start pumps maker", "awaitstatus maker 'entries that were acknowledged are lost on both'", ""},
	{"lostdisk", "unsent", "wipe east", "mirrored pumps valves", ""},
	// It is read-only now and then while it asks once more.
	{"toprestored", "unheard", "start east", "awaitstatus east '\"readOnly\"", "stdout '^read-only'"},
	{"stolenkey", "unsigned", "exec sleep 2", "! sign maker 88.118.8/sn-3 https://thief.example/3 maker 2.2", ""},
	{"cutoff", "dependent", "cut pumps", "exec nameplate import ", ""},
	{"failover", "unmirrored", "crash maker", "exec nameplate resolve 88.118.8/sn-2 --server grpc://$NET.4:2640", ""},
	{"restart", "forgetful", "crash maker", "start maker", ""},
	{"fivetops", "lone", "freeze north south centre", "! exec nameplate register 88.118/sn-2 ", ""},
	{"claim", "kept", "join maker", "await maker 88.118.8/sn-2 referral other", ""},
	{"lame", "credulous", "delegate 88.118.5 acme", "expect walker 88.118.5/sn-1 nothing", ""},
	{"handletree", "trusting", "rm $NAMEPLATE_FOLDER/maker/data/handle.key", "stderr 'no Handle server can be had that answers for 88.118.8/sn-9: ask again later'", ""},
	{"walk", "single", "network tree.yaml", "expect walker 88.118.8/sn-1 found https://maker.example/1", ""},
	{"peers", "devoted", "freeze west", "expect walker 88.118/sn-1 found https://pumps.example/1", ""},
}

var controls = flag.Bool("controls", false, "play the control of every scenario, and not of a third of them")

// The controls of TestScenarios: each scenario of a fault fails where the rule that it is there
// for is left out, and at the step that shows it. They wait more than they work, for what does
// not happen: all of them take longer than all other tests of the package.
func TestScenariosNotice(t *testing.T) {
	program(t)
	for i, c := range noticed {
		if i%3 != 0 && !*controls {
			continue
		}
		t.Run(c.scenario, func(t *testing.T) {
			script := filepath.Join(scenarioFolder, c.scenario+".txt")
			want, err := lineOf(script, c.behind, c.fails)
			if err != nil {
				t.Fatal(err)
			}
			last := want
			if c.until != "" {
				if last, err = lineOf(script, c.behind, c.until); err != nil {
					t.Fatal(err)
				}
			}
			file, err := leaves(c.without)
			if err != nil {
				t.Fatal(err)
			}
			t.Parallel()
			p := scenarios(t, file)
			p.Files = []string{script}
			n := &notice{}
			testscript.RunT(n, p)
			t.Logf("a node that %s: %s", rules[c.without].rule, n.last())
			if got := n.line(c.scenario); got < want || got > last {
				t.Errorf("a node that %s is noticed at line %d, want %d: %s\n%s", rules[c.without].rule, got, want, c.fails, n.said.String())
			}
		})
	}
}

// Every scenario that the document on recovery names has a control.
func TestRecoveryHasControls(t *testing.T) {
	text, err := os.ReadFile("../../../docs/RECOVERY.md")
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{"between": true} // its rules are left out in registry/recall_test.go
	for _, c := range noticed {
		has[c.scenario] = true
	}
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		_, rest, _ := strings.Cut(section, "\n")
		paragraph, _, _ := strings.Cut(strings.TrimSpace(rest), "\n\n")
		for _, match := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(paragraph, -1) {
			if !has[match[1]] {
				t.Errorf("scenario %s has no control", match[1])
			}
		}
	}
}

// lineOf returns the number of the first line that begins with a text, behind the first that
// begins with another.
func lineOf(script, behind, text string) (int, error) {
	b, err := os.ReadFile(script)
	if err != nil {
		return 0, err
	}
	for i, line := range strings.Split(string(b), "\n") {
		switch {
		case behind != "":
			if strings.HasPrefix(line, behind) {
				behind = ""
			}
		case strings.HasPrefix(line, text):
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("%s has no line %q: say anew where it is to fail", script, text)
}

// notice takes down how a script fails.
type notice struct {
	mu   sync.Mutex
	said strings.Builder
}

func (n *notice) Log(args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintln(&n.said, args...)
}

func (n *notice) Fatal(args ...any) { n.Log(args...); n.FailNow() }
func (n *notice) Skip(args ...any)  { n.Fatal(args...) }
func (n *notice) FailNow()          { runtime.Goexit() }
func (n *notice) Parallel()         {}
func (n *notice) Verbose() bool     { return true }

func (n *notice) Run(_ string, run func(testscript.T)) {
	done := make(chan struct{})
	go func() { // which FailNow ends
		defer close(done)
		run(n)
	}()
	<-done
}

// line is where a scenario failed; 0 when it did not.
func (n *notice) line(scenario string) int {
	match := regexp.MustCompile(`FAIL: .*` + scenario + `\.txt:(\d+): `).FindStringSubmatch(n.said.String())
	if match == nil {
		return 0
	}
	line, _ := strconv.Atoi(match[1])
	return line
}

// last is what it said of that.
func (n *notice) last() string {
	return regexp.MustCompile(`FAIL: .*`).FindString(n.said.String())
}
