// Package nameplate_test holds the rules of the house: which folder may import
// what, and the few habits that a tool can check.
//
// The imports are read with go/parser and not asked of the go command: a test
// that opens the files itself is run again when one of them changes, one that
// runs `go list` is answered from the test cache.
package nameplate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/nameplate-id/nameplate"

// room is one row of the table of folders: what the files in it may import.
type room struct {
	ours  []string // folders of this module
	third []string // import paths of others, and everything below them
	// noIO says that the room computes and does nothing else: no files, no
	// sockets, no log.
	noIO bool
	// tests are folders of this module that its external tests may import as well.
	tests []string
}

// grpc is what a folder that speaks gRPC needs: the framework and the messages.
var grpc = []string{"google.golang.org/grpc", "google.golang.org/protobuf", "google.golang.org/genproto/googleapis/rpc"}

// rooms is the table of folders. A folder that is not in it may not hold Go
// files: a new folder is a new responsibility and gets a row here, with a word
// in docs/ARCHITECTURE.md.
//
// Tests obey the layers too: what needs a higher layer to be tested is no
// layer, and tests that put many layers together live in cmd/nameplate, which
// may import everything. An external test (package x_test) may import its own
// folder besides, and what the column tests names. Third parties are free in
// tests: they are not linked into the program.
var rooms = map[string]room{
	"registry/identifier": {noIO: true, third: []string{"filippo.io/edwards25519", "golang.org/x/text", "golang.org/x/net/idna"}},
	"registry/journal":    {ours: []string{"registry/identifier"}, tests: []string{"registry/journal/journaltest"}, third: []string{"golang.org/x/mod/sumdb/tlog", "golang.org/x/mod/sumdb/note"}},
	// Disks that fail, for the tests of whoever keeps a journal.
	"registry/journal/journaltest": {ours: []string{"registry/journal"}},
	"registry/state":               {ours: []string{"registry/identifier"}, third: []string{"go.etcd.io/bbolt", "github.com/cespare/xxhash/v2"}},
	"registry/replica":             {ours: []string{"registry/identifier"}, third: []string{"golang.org/x/mod/sumdb/tlog", "golang.org/x/mod/sumdb/note"}, noIO: true, tests: []string{"registry/replica/replicatest"}},
	// Logs in memory, for the tests of whoever replicates.
	"registry/replica/replicatest": {ours: []string{"registry/identifier"}, third: []string{"golang.org/x/mod/sumdb/tlog", "golang.org/x/mod/sumdb/note"}},
	// Where a node keeps all that, and how another log takes the place of its own.
	"registry/folder": {ours: []string{"registry/identifier"}},
	// How what a node has of its log compares with what others hold of it.
	"registry/history": {ours: []string{"registry/identifier", "registry/journal", "registry/replica"}, noIO: true, tests: []string{"registry/replica/replicatest"}},
	"registry":         {ours: []string{"registry/identifier", "registry/journal", "registry/state", "registry/replica", "registry/receipt", "registry/folder", "registry/history"}, tests: []string{"registry/journal/journaltest", "registry/backup"}},
	"registry/backup":  {ours: []string{"registry/identifier", "registry", "registry/folder", "registry/journal"}},
	// What proves one registration to anybody.
	"registry/receipt": {ours: []string{"registry/identifier", "registry/journal", "registry/replica"}, noIO: true, tests: []string{"registry/replica/replicatest"}},
	"registry/rpc":     {ours: []string{"registry/identifier", "registry", "registry/history", "registry/receipt", "registry/replica", "proto"}, third: grpc, tests: []string{"registry/replica/replicatest"}},
	// What an HS_NAMESPACE value gives: texts in, values out.
	"resolver/template": {ours: []string{"registry/identifier"}, noIO: true},
	"resolver":          {ours: []string{"registry/identifier", "resolver/template"}, third: []string{"github.com/maypok86/otter/v2"}, tests: []string{"resolver/resolvertest"}},
	"resolver/udp":      {third: []string{"golang.org/x/net", "golang.org/x/sys"}},
	// How a server of messages goes on and ends.
	"resolver/serving": {ours: []string{"resolver/udp"}},
	// Connections: how many, and for dns and handle what goes on upon them.
	"resolver/tcp":          {ours: []string{"resolver"}},
	"resolver/dns":          {ours: []string{"registry/identifier", "resolver", "resolver/serving", "resolver/tcp", "resolver/udp"}, third: []string{"github.com/miekg/dns", "golang.org/x/net"}, tests: []string{"resolver/resolvertest"}},
	"resolver/rpc":          {ours: []string{"registry/identifier", "resolver", "proto"}, third: grpc, tests: []string{"resolver/resolvertest"}},
	"resolver/http":         {ours: []string{"registry/identifier", "resolver", "resolver/tcp"}, third: []string{"golang.org/x/text/language"}, tests: []string{"resolver/resolvertest"}},
	"resolver/handle":       {ours: []string{"registry/identifier", "resolver", "resolver/serving", "resolver/tcp", "resolver/udp"}, tests: []string{"resolver/resolvertest"}},
	"resolver/resolvertest": {ours: []string{"registry/identifier", "resolver"}},
	"proto":                 {ours: []string{"registry/identifier"}, third: grpc},

	// It compiles the contracts, when a developer asks for it.
	"proto/internal/generate": {third: []string{"github.com/bufbuild/protocompile", "google.golang.org/protobuf"}},

	// The root holds this test and no package.
	".": {},
}

// wiring is the folder, with everything below it, that may import everything.
const wiring = "cmd/nameplate"

// ioPackages are the standard packages that a room without I/O does without.
var ioPackages = []string{"os", "io/fs", "io/ioutil", "net", "net/http", "log", "syscall", "path/filepath"}

// webRooms are the rooms that may see an http.Request; the domain never does.
var webRooms = []string{"resolver/http", "resolver/handle"}

// source is one parsed file of the module.
type source struct {
	path      string // with slashes, from the root of the module
	dir       string
	fset      *token.FileSet
	file      *ast.File
	test      bool
	external  bool // a test in a package of its own
	generated bool
	command   bool // below the wiring folder
}

func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		if s.command {
			continue
		}
		row, known := rooms[s.dir]
		if !known {
			t.Errorf("%s: folder %s is not in the table of rooms in house_test.go: give it a row, or put the file where its responsibility lives", s.path, s.dir)
			continue
		}
		for _, spec := range s.file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if why := forbidden(s, row, imported); why != "" {
				t.Errorf("%s: imports %q: %s", s.position(spec), imported, why)
			}
		}
	}
}

// forbidden returns why a file may not import something; "" when it may.
func forbidden(s source, row room, imported string) string {
	if imported == module || strings.HasPrefix(imported, module+"/") {
		folder := strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
		allowed := slices.Clone(row.ours)
		if s.external {
			allowed = append(append(allowed, s.dir), row.tests...)
		}
		if !slices.Contains(allowed, folder) {
			return "of ours " + s.dir + " may import only " + list(allowed)
		}
		return ""
	}
	if thirdParty(imported) {
		if !s.test && !within(imported, row.third) {
			return "of others " + s.dir + " may import only " + list(row.third)
		}
		return ""
	}
	if s.test {
		return ""
	}
	if row.noIO && slices.Contains(ioPackages, imported) {
		return s.dir + " does no I/O"
	}
	if imported == "net/http" && !slices.Contains(webRooms, s.dir) {
		return "HTTP ends in " + list(webRooms)
	}
	return ""
}

// Nothing registers itself: no init, no import for its side effects, no
// variable of a package that is written to. Generated code is excused.
func TestNothingRegistersItself(t *testing.T) {
	packages := map[string][]source{}
	for _, s := range sources(t) {
		if s.test || s.generated {
			continue
		}
		packages[s.dir] = append(packages[s.dir], s)
		for _, spec := range s.file.Imports {
			if spec.Name != nil && spec.Name.Name == "_" && spec.Path.Value != `"embed"` {
				t.Errorf("%s: imports %s for its side effects", s.position(spec), spec.Path.Value)
			}
		}
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: func init: let whoever needs it call it", s.position(f))
			}
		}
	}
	for dir, files := range packages {
		for _, at := range writes(dir, files) {
			t.Errorf("%s: writes to a variable of the package: give it to whoever owns it", at)
		}
	}
}

// writes returns where the functions of a package assign to one of the package's
// variables, or to something inside one. The type checker tells them apart from
// local variables of the same name; it is not shown the imports and does not
// miss them.
func writes(dir string, files []source) []string {
	var parsed []*ast.File
	for _, s := range files {
		parsed = append(parsed, s.file)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Error: func(error) {}}
	pkg, _ := config.Check(dir, files[0].fset, parsed, info)

	var found []string
	check := func(target ast.Expr) {
		if name := root(target); name != nil {
			if v, ok := info.Uses[name].(*types.Var); ok && v.Parent() == pkg.Scope() {
				found = append(found, files[0].position(target))
			}
		}
	}
	for _, file := range parsed {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, target := range n.Lhs {
					check(target)
				}
			case *ast.IncDecStmt:
				check(n.X)
			}
			return true
		})
	}
	return found
}

// root returns the variable that an assignable expression begins with.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// Every package says in a comment what it is responsible for, once.
func TestPackageComments(t *testing.T) {
	documented := map[string][]string{}
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		seen[s.dir] = true
		if s.file.Doc != nil && !s.generated {
			documented[s.dir] = append(documented[s.dir], s.path)
		}
	}
	for dir := range seen {
		if len(documented[dir]) != 1 {
			t.Errorf("%s: has %d package comments, want 1: %v", dir, len(documented[dir]), documented[dir])
		}
	}
}

// Names say what a thing is.
func TestNames(t *testing.T) {
	empty := regexp.MustCompile(`^(utils?|common|types|helpers?|misc|managers?|impl)$`)
	getter := regexp.MustCompile(`^Get[A-Z]`)
	for _, s := range sources(t) {
		for part := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSuffix(s.path, ".go"), "_test"), "/") {
			if empty.MatchString(part) {
				t.Errorf("%s: %q says nothing", s.path, part)
			}
		}
		if s.generated {
			continue
		}
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && getter.MatchString(f.Name.Name) {
				t.Errorf("%s: %s: leave out Get", s.position(f), f.Name.Name)
			}
		}
	}
}

// What is left to do stands in an issue, not in the code.
func TestNothingLeftToDo(t *testing.T) {
	mark := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)
	for _, s := range sources(t) {
		if s.generated {
			continue
		}
		for _, group := range s.file.Comments {
			if found := mark.FindString(group.Text()); found != "" {
				t.Errorf("%s: %s", s.position(group), found)
			}
		}
	}
}

// sources parses every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if base != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		s, err := parse(fset, filepath.ToSlash(name))
		if err != nil {
			return err
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 2 {
		t.Fatal("no Go files found: the test runs in the wrong folder")
	}
	return all
}

func parse(fset *token.FileSet, name string) (source, error) {
	file, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	s := source{path: name, dir: path.Dir(name), fset: fset, file: file}
	s.test = strings.HasSuffix(name, "_test.go")
	s.external = s.test && strings.HasSuffix(s.file.Name.Name, "_test")
	s.generated = ast.IsGenerated(s.file)
	s.command = s.dir == wiring || strings.HasPrefix(s.dir, wiring+"/")
	return s, nil
}

func (s source) position(n ast.Node) string {
	return s.fset.Position(n.Pos()).String()
}

// thirdParty reports whether an import path is neither ours nor the standard
// library's: the first element of such a path holds a dot.
func thirdParty(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".")
}

func within(imported string, allowed []string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		return imported == a || strings.HasPrefix(imported, a+"/")
	})
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}
