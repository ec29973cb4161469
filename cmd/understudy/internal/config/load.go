package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/understudy-id/understudy/oauth"
)

// Sources are the layers over the defaults.
type Sources struct {
	// File is the path of the YAML file; "" reads DefaultFile if there is one.
	File string
	// Env is as os.Environ gives it.
	Env []string
	// Flags holds the flags that were given, by their name.
	Flags map[string]string
}

// Loaded is a configuration and where each part came from.
type Loaded struct {
	Config
	from map[string]string // by path
}

// From tells where the value at path came from: "default", "understudy.yaml:3", "env UNDERSTUDY_LISTEN", "flag --listen".
func (l *Loaded) From(path string) string {
	if s, ok := l.from[path]; ok {
		return s
	}
	return "default"
}

// Load puts the layers together. It reports every unknown key and unreadable value, each as a *Problem, joined by
// errors.Join; it does not judge the values, Check does.
func Load(src Sources) (*Loaded, error) {
	l := &Loaded{Config: Default(), from: map[string]string{}}
	err := errors.Join(l.file(src.File), l.env(src.Env), l.flags(src.Flags))
	if err != nil {
		return nil, err
	}
	l.dropPassword()
	return l, errors.Join(
		l.secretFile("sealing_key", &l.SealingKey, l.SealingKeyFile),
		l.cutPassword(),
		l.secretFile("database_password", &l.DatabasePassword, l.DatabasePasswordFile),
		l.trustSecrets(),
		l.upstreamSecrets(),
	)
}

func (l *Loaded) file(path string) error {
	name := path
	if name == "" {
		name = DefaultFile
	}
	data, err := os.ReadFile(name)
	if path == "" && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &Problem{Where: "config", What: err.Error(), Hint: "--config names the file"}
	}
	return l.yaml(name, data)
}

func (l *Loaded) yaml(name string, data []byte) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return yamlProblems(name, err)
	}
	lines := keyLines(&doc)
	l.dropDefaultRules(lines)
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&l.Config); err != nil && !errors.Is(err, io.EOF) { // EOF: an empty file
		return yamlProblems(name, err)
	}
	for path, line := range lines {
		l.from[path] = fmt.Sprintf("%s:%d", name, line)
	}
	return nil
}

// dropDefaultRules makes the registered things all the file's own as soon as it has any: half of somebody's roles and
// half of ours would be rules that nobody wrote.
func (l *Loaded) dropDefaultRules(lines map[string]int) {
	for _, part := range []string{"resources", "scopes", "roles"} {
		if _, ok := lines[part]; ok {
			l.Resources, l.Scopes, l.Roles = nil, nil, nil
		}
	}
}

// keyLines finds the line of each key and of each item of a list by its path: "log.level", "upstreams[0].issuer".
func keyLines(doc *yaml.Node) map[string]int {
	lines := map[string]int{}
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				below := strings.TrimPrefix(path+"."+n.Content[i].Value, ".")
				lines[below] = n.Content[i].Line
				walk(n.Content[i+1], below)
			}
		case yaml.SequenceNode:
			for i, item := range n.Content {
				below := fmt.Sprintf("%s[%d]", path, i)
				lines[below] = item.Line
				walk(item, below)
			}
		}
	}
	if len(doc.Content) > 0 {
		walk(doc.Content[0], "")
	}
	return lines
}

// longTests asks our own tests for their full counts, and reaches the servers that they start.
const longTests = EnvPrefix + "LONG"

func (l *Loaded) env(environ []string) error {
	byName := map[string]Field{}
	for _, f := range l.Fields() {
		if f.Env() != "" {
			byName[f.Env()] = f
		}
	}
	maps.Copy(byName, l.upstreamVariables())
	var errs []error
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, EnvPrefix) || name == longTests {
			continue
		}
		f, ok := byName[name]
		if !ok {
			errs = append(errs, unknown("environment", "variable", name, slices.Sorted(maps.Keys(byName))))
			continue
		}
		errs = append(errs, l.set(f, value, "env "+name))
	}
	return errors.Join(errs...)
}

func (l *Loaded) flags(given map[string]string) error {
	var errs []error
	for _, f := range l.Fields() {
		if text, ok := given[f.Flag()]; ok && f.Flag() != "" {
			errs = append(errs, l.set(f, text, "flag --"+f.Flag()))
		}
	}
	return errors.Join(errs...)
}

func (l *Loaded) set(f Field, text, from string) error {
	if err := f.Set(text); err != nil {
		return &Problem{Where: from, What: err.Error()}
	}
	l.from[f.Path] = from
	return nil
}

// secretFile reads the secret at path from the file that its neighbour names.
func (l *Loaded) secretFile(path string, secret *oauth.Secret, file string) error {
	if file == "" {
		return nil
	}
	from := l.From(path + "_file")
	if *secret != "" {
		return &Problem{Where: from, What: path + " is set too, by " + l.From(path), Hint: "set one of the two"}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return &Problem{Where: from, What: err.Error()}
	}
	*secret = oauth.Secret(strings.TrimSpace(string(data)))
	l.from[path] = "file " + file
	return nil
}

// Has reports whether path is that of a field.
func (l *Loaded) Has(path string) bool {
	for _, f := range l.Fields() {
		if f.Path == path {
			return true
		}
	}
	return false
}
