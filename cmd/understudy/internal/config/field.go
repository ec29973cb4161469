package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// EnvPrefix starts the name of every environment variable of ours.
const EnvPrefix = "UNDERSTUDY_"

// Field is one thing that can be set.
type Field struct {
	Path     string // "sign_in.second_factor"
	Doc      string
	Secret   bool // no flag; its value is never shown
	FileOnly bool // no flag, no environment variable
	value    reflect.Value
}

// Fields lists the fields of c in their order. They point into c.
func (c *Config) Fields() []Field { return fields(reflect.ValueOf(c).Elem(), "") }

func fields(v reflect.Value, prefix string) []Field {
	var out []Field
	for i := range v.NumField() {
		t := v.Type().Field(i)
		path := prefix + t.Tag.Get("yaml")
		if t.Tag.Get("doc") == "" {
			out = append(out, fields(v.Field(i), path+".")...)
			continue
		}
		out = append(out, Field{path, t.Tag.Get("doc"), t.Tag.Get("secret") == "true", t.Tag.Get("file") == "only", v.Field(i)})
	}
	return out
}

// Key is one of the keys that each item of a list has.
type Key struct {
	Path string // within the item: "impersonate.minutes"
	Doc  string
}

// Keys are those of the field's items, in their order; none where its items are values.
func (f Field) Keys() []Key { return keys(f.value.Type(), "") }

func keys(t reflect.Type, prefix string) []Key {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var out []Key
	for i := 0; t.Kind() == reflect.Struct && i < t.NumField(); i++ {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name != "" {
			out = append(out, Key{prefix + name, t.Field(i).Tag.Get("doc")})
			out = append(out, keys(t.Field(i).Type, prefix+name+".")...)
		}
	}
	return out
}

// Env is the name of the environment variable, "" for none.
func (f Field) Env() string {
	if f.FileOnly {
		return ""
	}
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(f.Path, ".", "_"))
}

// Flag is the name of the flag without its dashes, "" for none.
func (f Field) Flag() string {
	if f.FileOnly || f.Secret {
		return ""
	}
	return strings.NewReplacer(".", "-", "_", "-").Replace(f.Path)
}

// Value is what is set: a string, an int, a time.Duration, a []string, or a part of policy.Registry.
func (f Field) Value() any { return f.value.Interface() }

// Kind is what a flag takes, for the help: "string", "number", "duration" or "list".
func (f Field) Kind() string {
	switch f.value.Interface().(type) {
	case time.Duration:
		return "duration"
	case int:
		return "number"
	case []string:
		return "list"
	}
	return "string"
}

// Text is the value as Set takes it; of a secret only whether there is one.
func (f Field) Text() string {
	switch v := f.value.Interface().(type) {
	case oauth.Secret:
		if v == "" {
			return ""
		}
		return v.String()
	case time.Duration:
		return shortDuration(v)
	case []string:
		return strings.Join(v, ",")
	case string:
		return v
	}
	return fmt.Sprint(f.value.Interface())
}

// Set reads text into the field: a duration as "10m", a list with commas between.
func (f Field) Set(text string) error {
	switch p := f.value.Addr().Interface().(type) {
	case *string:
		*p = text
	case *oauth.Secret:
		*p = oauth.Secret(text)
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 10m or 1h30m", text)
		}
		*p = d
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		*p = n
	case *[]string:
		*p = splitList(text)
	}
	return nil
}

func splitList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// shortDuration drops the zeros that time.Duration prints: 8h, not 8h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
