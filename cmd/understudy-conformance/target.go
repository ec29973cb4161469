package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/understudy-id/understudy/conformance"
)

// maxFile bounds a target file, and a file with a secret.
const maxFile = 1 << 20

// loader reads a target file. It looks at the nodes itself, by the fields of conformance.Target: so that an unknown field is named with its line, so that a secret may
// come from elsewhere, and so that no error of the YAML package quotes what stands where a secret belongs.
type loader struct {
	dir  string // where files with secrets begin
	env  func(name string) (string, bool)
	errs []error
}

// load gives the target of a file.
func load(file string, env func(name string) (string, bool)) (t conformance.Target, err error) {
	text, err := readFile(file)
	if err != nil {
		return t, err
	}
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return t, fmt.Errorf("%s is empty", file)
	case err != nil:
		return t, fmt.Errorf("%s: %w", file, err)
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return t, fmt.Errorf("%s: want one YAML document", file)
	}
	l := &loader{dir: filepath.Dir(file), env: env}
	l.look(doc.Content[0], reflect.TypeFor[conformance.Target](), "")
	if len(l.errs) > 0 {
		return t, fmt.Errorf("%s: %w", file, errors.Join(l.errs...))
	}
	if err := doc.Decode(&t); err != nil {
		return t, fmt.Errorf("%s: %w", file, err)
	}
	if err := t.Check(); err != nil {
		return t, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s is longer than %d bytes", name, maxFile)
	}
	return b, err
}

func (l *loader) wrong(n *yaml.Node, format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf("line %d: %s", n.Line, fmt.Sprintf(format, args...)))
}

// look checks a node against the type it is for, and puts what it refers to in its place.
func (l *loader) look(n *yaml.Node, t reflect.Type, at string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // as if it were not there
	}
	kind, is := yaml.ScalarNode, "a text"
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		kind, is = yaml.MappingNode, "names and values"
	case reflect.Slice:
		kind, is = yaml.SequenceNode, "a list"
	}
	if n.Kind != kind {
		if at == "" {
			at = "the file"
		}
		l.wrong(n, "%s must be %s", at, is)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		l.fields(n, t, at)
	case reflect.Map:
		for i := 1; i < len(n.Content); i += 2 {
			l.look(n.Content[i], t.Elem(), at+"."+n.Content[i-1].Value)
		}
	case reflect.Slice:
		for i, v := range n.Content {
			l.look(v, t.Elem(), fmt.Sprintf("%s[%d]", at, i))
		}
	case reflect.String:
		l.expand(n, at)
	}
}

// secrets are the fields that may be in a file of their own, which their name and _file names.
var secrets = map[string]bool{"secret": true, "private_key": true, "password": true, "totp": true}

func (l *loader) fields(n *yaml.Node, t reflect.Type, at string) {
	types, names := make(map[string]reflect.Type), []string(nil)
	for f := range t.Fields() {
		name := f.Tag.Get("yaml")
		if name == "-" { // only a Go program has it
			continue
		}
		types[name], names = f.Type, append(names, name)
		if secrets[name] {
			names = append(names, name+"_file")
		}
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		field := strings.TrimPrefix(at+"."+key.Value, ".")
		name, inFile := strings.CutSuffix(key.Value, "_file")
		switch {
		case inFile && secrets[name] && types[name] != nil:
			l.fromFile(key, value, name, field)
		case types[key.Value] == nil:
			l.wrong(key, "%s is no field; there are %s", field, strings.Join(names, ", "))
		default:
			l.look(value, types[key.Value], field)
		}
		if seen[key.Value] {
			l.wrong(key, "%s comes twice", strings.TrimPrefix(at+"."+key.Value, "."))
		}
		seen[key.Value] = true
	}
}

// fromFile makes name: what the file holds of name_file: file.
func (l *loader) fromFile(key, value *yaml.Node, name, field string) {
	l.look(value, reflect.TypeFor[string](), field)
	if value.Kind != yaml.ScalarNode || value.Value == "" {
		l.wrong(value, "%s must name a file", field)
		return
	}
	file := value.Value
	if !filepath.IsAbs(file) {
		file = filepath.Join(l.dir, file)
	}
	b, err := readFile(file)
	text := strings.TrimRight(string(b), "\r\n")
	if err == nil && text == "" {
		err = fmt.Errorf("%s is empty", file)
	}
	if err != nil {
		l.wrong(value, "%s: %v", field, err)
	}
	key.Value = name
	value.SetString(text)
}

var reference = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)

// expand makes ${NAME}, where it is all of a value, what the environment has under that name.
func (l *loader) expand(n *yaml.Node, at string) {
	m := reference.FindStringSubmatch(n.Value)
	if m == nil {
		return
	}
	v, ok := l.env(m[1])
	if !ok || v == "" {
		l.wrong(n, "%s: the environment has no %s", at, m[1])
	}
	n.SetString(v)
}
