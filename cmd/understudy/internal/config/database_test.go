package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
)

// canary is a password that nothing may show.
const canary = "c4n4ry"

func TestPasswordOfURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ url, shown, password string }{
		{"understudy.db", "understudy.db", ""},
		{"postgres://u@h/db", "postgres://u@h/db", ""},
		{"postgres:///db?host=/run/postgresql", "postgres:///db?host=/run/postgresql", ""},
		{"postgres://u:c4n4ry@h:5432/db?sslmode=verify-full", "postgres://u@h:5432/db?sslmode=verify-full", canary},
		{"postgresql://u:c4n4ry@h1:1,h2:2,[::1]:3/db", "postgresql://u@h1:1,h2:2,[::1]:3/db", canary},
		{"postgres://u:a%40b%2Fc%25@h/db", "postgres://u@h/db", "a@b/c%"},
		{"postgres://u:a?b@h/db", "postgres://u@h/db", "a?b"},
		{"postgres://:c4n4ry@h/db", "postgres://@h/db", canary},
	} {
		l, err := config.Load(config.Sources{File: file(t, ""), Env: []string{"UNDERSTUDY_DATABASE=" + tt.url}})
		if err != nil || l.Database != tt.shown || string(l.DatabasePassword) != tt.password {
			t.Errorf("%s: got %q with the password %q, %v; want %q with %q", tt.url, l.Database, string(l.DatabasePassword), err, tt.shown, tt.password)
			continue
		}
		if tt.password == "" {
			continue
		}
		if got, want := l.From("database_password"), "env UNDERSTUDY_DATABASE"; got != want {
			t.Errorf("%s: the password came from %q, want %q", tt.url, got, want)
		}
		if c := l.PostgresConfig(); c.URL != tt.shown || string(c.Password) != tt.password {
			t.Errorf("%s: it is opened as %q with the password %q", tt.url, c.URL, string(c.Password))
		}
	}
}

// Where nobody can tell what of a URL is its password, none of it is shown.
func TestPasswordInTheWrongPlace(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://u:c4n4ry/x@h/db", "postgres://u:1/c4n4ry@h/db", "postgres://u:c4n4ry@x@h/db", "postgres://u:x@c4n4ry@h/db", "postgres://u:c4n4ry/h/db",
		"postgres://u:c4n4ry%@h/db", "postgres://h/db?password=c4n4ry", "postgres://h/db?user=u&pass%77ord=c4n4ry", "postgres://h/db?sslpassword=c4n4ry",
		"postgres://h?password=c4n4ry@x/db", "postgres://h,u:c4n4ry/db", "postgres:/u:c4n4ry@h/db", "Postgres:u:c4n4ry@h/db",
		"postgres//u:c4n4ry@h/db", "u:c4n4ry@h:5432/db", "//u:c4n4ry@h/db", "postgres://h/db?Password=c4n4ry", "postgres://h/db?sslmode=require;password=c4n4ry",
		"host=h user=u password=c4n4ry", "password = 'c4n4ry'", "mysql://h/db?password=c4n4ry",
	} {
		for _, src := range []config.Sources{
			{File: file(t, ""), Env: []string{"UNDERSTUDY_DATABASE=" + url}},
			{File: file(t, "database: "+fmt.Sprintf("%q", url))},
			{File: file(t, ""), Flags: map[string]string{"database": url}},
		} {
			_, err := config.Load(src)
			if problems := config.Problems(err); len(problems) != 1 || !strings.HasPrefix(problems[0].What, "database ") || problems[0].Hint == "" {
				t.Errorf("%s: got %v, want one problem of the database", url, err)
			} else if strings.Contains(problems[0].Error()+problems[0].Hint, canary) {
				t.Errorf("%s: the password is shown: %v", url, err)
			}
		}
	}
}

func TestSourcesOfPassword(t *testing.T) {
	t.Parallel()
	const plain, with = "postgres://u@h/db", "postgres://u:c4n4ry@h/db"
	secret := file(t, canary+"\n")
	tests := []struct {
		name string
		src  config.Sources
		want string // of the problem; "" for none
	}{
		{"variable", config.Sources{Env: []string{"UNDERSTUDY_DATABASE=" + plain, "UNDERSTUDY_DATABASE_PASSWORD=" + canary}}, ""},
		{"file in a flag", config.Sources{Flags: map[string]string{"database": plain, "database-password-file": secret}}, ""},
		{"URL in a flag", config.Sources{Flags: map[string]string{"database": with}}, "database has a password, and a process list shows flags"},
		{"URL and variable", config.Sources{Env: []string{"UNDERSTUDY_DATABASE=" + with, "UNDERSTUDY_DATABASE_PASSWORD=" + canary}}, "database has a password, and database_password is set too, by env "},
		{"URL and file", config.Sources{Env: []string{"UNDERSTUDY_DATABASE=" + with, "UNDERSTUDY_DATABASE_PASSWORD_FILE=" + secret}}, "database_password is set too, by env UNDERSTUDY_DATABASE"},
		{"no file", config.Sources{Env: []string{"UNDERSTUDY_DATABASE_PASSWORD_FILE=" + secret + ".none"}}, "open " + secret + ".none: no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.src.File = file(t, "")
			l, err := config.Load(tt.src)
			if tt.want == "" {
				if err != nil || string(l.DatabasePassword) != canary {
					t.Errorf("got %v, want the password", err)
				}
				return
			}
			if p := config.Problems(err); len(p) != 1 || !strings.HasPrefix(p[0].What, tt.want) || strings.Contains(p[0].What+p[0].Hint, canary) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// A password serves the URL of its own layer, and of those below; a URL from above has its own or none.
func TestLayerOfPassword(t *testing.T) {
	t.Parallel()
	const url = "postgres://u@h/db"
	secret := file(t, canary+"\n")
	for name, c := range map[string]struct {
		src      config.Sources
		password string
	}{
		"flag over env":         {config.Sources{Env: []string{"UNDERSTUDY_DATABASE_PASSWORD=" + canary}, Flags: map[string]string{"database": url}}, ""},
		"flag over file in env": {config.Sources{Env: []string{"UNDERSTUDY_DATABASE_PASSWORD_FILE=" + secret}, Flags: map[string]string{"database": url}}, ""},
		"flag over missing":     {config.Sources{Env: []string{"UNDERSTUDY_DATABASE_PASSWORD_FILE=" + secret + ".none"}, Flags: map[string]string{"database": url}}, ""},
		"flag over YAML":        {config.Sources{File: file(t, "database_password: "+canary), Flags: map[string]string{"database": url}}, ""},
		"env over YAML":         {config.Sources{File: file(t, "database_password_file: "+secret), Env: []string{"UNDERSTUDY_DATABASE=" + url}}, ""},
		"env with its own":      {config.Sources{File: file(t, "database_password: old"), Env: []string{"UNDERSTUDY_DATABASE=postgres://u:" + canary + "@h/db"}}, canary},
		"flag with its file":    {config.Sources{Env: []string{"UNDERSTUDY_DATABASE_PASSWORD=old"}, Flags: map[string]string{"database": url, "database-password-file": secret}}, canary},
		"YAML under env":        {config.Sources{File: file(t, "database: "+url), Env: []string{"UNDERSTUDY_DATABASE_PASSWORD=" + canary}}, canary},
		"YAML":                  {config.Sources{File: file(t, "database: "+url+"\ndatabase_password_file: "+secret)}, canary},
	} {
		if c.src.File == "" {
			c.src.File = file(t, "")
		}
		l, err := config.Load(c.src)
		if err != nil || string(l.DatabasePassword) != c.password {
			t.Errorf("%s: got %q, %v; want %q", name, string(l.DatabasePassword), err, c.password)
			continue
		}
		if from := l.From("database_password"); c.password == "" && from != "default" {
			t.Errorf("%s: got a password from %s, want none", name, from)
		}
	}
}

func TestWayToDatabase(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"understudy.db":                                                          "",
		"postgres:///db?host=/run/postgresql":                                    "",
		"postgres://u@localhost/db":                                              "",
		"postgres://u@db.acme.test/db":                                           "no TLS is demanded",
		"postgres://u@db.acme.test/db?sslmode=require":                           "the server's certificate is not checked",
		"postgres://u@db.acme.test/db?sslmode=verify-full&sslnegotiation=direct": "",
		"postgres://u@localhost,db.acme.test/db?sslmode=verify-ca":               "the server's name is not checked",
	} {
		l, err := config.Load(config.Sources{File: file(t, ""), Env: []string{"UNDERSTUDY_DATABASE=" + url}})
		if err != nil {
			t.Fatal(err)
		}
		risks := l.Risks()
		if got := strings.Join(risks, ""); want == "" && got != "" || want != "" && !strings.HasPrefix(got, "database at db.acme.test: "+want) {
			t.Errorf("%s: got %q, want %q", url, risks, want)
		}
	}
}
