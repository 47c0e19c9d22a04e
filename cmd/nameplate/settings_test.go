package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
)

// load puts a configuration together from a file's text ("" for none), variables and
// arguments.
func load(t *testing.T, file string, variables map[string]string, args ...string) (node.Config, error) {
	t.Helper()
	c := &cobra.Command{Use: "serve"}
	addSettings(c)
	if file != "" {
		path := filepath.Join(t.TempDir(), "nameplate.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if err := c.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return loadConfig(c, func(name string) (string, bool) { v, ok := variables[name]; return v, ok })
}

func TestDefaultsAlone(t *testing.T) {
	got, err := load(t, "", nil)
	if want := node.DefaultConfig(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestWhatComesLaterWins(t *testing.T) {
	file := "name: from-file\ndata: /file\nlog: {level: warn}\nlisten:\n  dns: ['127.0.0.1:1', '127.0.0.1:2']\nlimits: {shutdown: 3s}\n"
	environment := map[string]string{"NAMEPLATE_NAME": "from-environment", "NAMEPLATE_DATA": "/environment", "NAMEPLATE_HTTP": "off", "NAMEPLATE_SERVICE_HOST": "10.0.0.1"}
	got, err := load(t, file, environment, "--name", "from-flag", "--grpc", "127.0.0.1:3, [::1]:3")
	if err != nil {
		t.Fatal(err)
	}
	want := node.DefaultConfig()
	want.Name = "from-flag"
	want.Data = "/environment"
	want.Log.Level = "warn"
	want.Listen.DNS = []string{"127.0.0.1:1", "127.0.0.1:2"}
	want.Listen.GRPC = []string{"127.0.0.1:3", "[::1]:3"}
	want.Listen.HTTP = nil
	want.Limits.Shutdown = 3 * time.Second
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestConfigFromTheEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("# nothing but a comment\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, "", map[string]string{"NAMEPLATE_CONFIG": path}); err != nil {
		t.Error(err)
	}
	if _, err := load(t, "", map[string]string{"NAMEPLATE_CONFIG": path + ".missing"}); err == nil {
		t.Error("a missing file: got no error")
	}
}

func TestMistakes(t *testing.T) {
	tests := []struct {
		name, file string
		variables  map[string]string
		args       []string
		want       string
	}{
		{"unknown field", "name: a\nlisten:\n  dnss: []\n", nil, nil, `line 3: there is no field "dnss"`},
		{"unknown field at the top", "nmae: a\n", nil, nil, `line 1: there is no field "nmae"`},
		{"wrong type", "limits:\n  grpc-streams: many\n", nil, nil, "line 2: cannot unmarshal"},
		{"not YAML", "name: [a\n", nil, nil, "line 1"},
		{"two documents", "name: a\n---\nname: b\n", nil, nil, "several documents"},
		{"twice", "name: a\nname: b\n", nil, nil, "line 2"},
		{"wrong value", "name: Not a label\n", nil, nil, `configuration: name "Not a label"`},
		{"environment", "", map[string]string{"NAMEPLATE_GRPC_STREAMS": "many"}, nil, `NAMEPLATE_GRPC_STREAMS: "many" is not a number`},
		{"size", "journal: {segment: 3 MB}\n", nil, nil, `"3 MB" is not a size such as 64MiB`},
		{"flag", "", nil, []string{"--shutdown", "soon"}, `--shutdown: "soon" is not a time`},
	}
	for _, test := range tests {
		_, err := load(t, test.file, test.variables, test.args...)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got error %v, want one line with %q", test.name, err, test.want)
		}
	}
}

// The file that is shipped loads and shows every field.
func TestShippedConfig(t *testing.T) {
	const file = "../../deploy/nameplate.yaml"
	config := node.DefaultConfig()
	if err := readConfig(file, &config); err != nil {
		t.Fatal(err)
	}
	if err := config.Check(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var shown map[string]any
	if err := yaml.Unmarshal(text, &shown); err != nil {
		t.Fatal(err)
	}
	leaves := fields(t, reflect.TypeFor[node.Config](), shown, "")
	// Every one but addresses, roots and peers has a flag and a variable.
	if got, want := len(settings()), leaves-3; got != want {
		t.Errorf("got %d settings, want %d, one for each field", got, want)
	}
	for _, s := range settings() {
		if !strings.Contains(string(text), regexp.MustCompile("^(log|journal|recursive|parent)-").ReplaceAllString(s.flag, "")+":") {
			t.Errorf("the flag --%s has another name than its field", s.flag)
		}
	}
}

// fields checks that a struct's fields are shown, and counts those that hold no
// others.
func fields(t *testing.T, of reflect.Type, shown map[string]any, path string) int {
	n := 0
	for i := range of.NumField() {
		f := of.Field(i)
		if !f.IsExported() {
			continue // for tests
		}
		name := f.Tag.Get("yaml")
		value, ok := shown[name]
		if !ok {
			t.Errorf("%s%s is not shown", path, name)
			continue
		}
		if inner, ok := value.(map[string]any); ok && f.Type.Kind() == reflect.Struct {
			n += fields(t, f.Type, inner, path+name+".")
		} else {
			n++
		}
	}
	return n
}
