package config

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store/postgres"
)

// Postgres reports whether the database is one of Postgres, and not a file.
func (c *Config) Postgres() bool {
	return strings.HasPrefix(c.Database, "postgres://") || strings.HasPrefix(c.Database, "postgresql://")
}

// PostgresConfig is what opens the database where Postgres says that it is one.
func (c *Config) PostgresConfig() postgres.Config {
	return postgres.Config{URL: c.Database, Password: c.DatabasePassword}
}

const postgresURL = "such as postgres://user@host:5432/name?sslmode=verify-full"

// dropPassword forgets a password that a lower layer than the database's gives: it belongs to the URL that was replaced, and
// would be tried on a role that is not its own, before PGPASSFILE.
func (l *Loaded) dropPassword() {
	at := layer(l.From("database"))
	if layer(l.From("database_password")) < at {
		l.DatabasePassword = ""
		delete(l.from, "database_password")
	}
	if layer(l.From("database_password_file")) < at {
		l.DatabasePasswordFile = ""
		delete(l.from, "database_password_file")
	}
}

// layer ranks what From gives: of two values the one from the higher layer stands.
func layer(from string) int {
	switch {
	case strings.HasPrefix(from, "flag --"):
		return 3
	case strings.HasPrefix(from, "env "+EnvPrefix):
		return 2
	case from != "default":
		return 1
	}
	return 0
}

// cutPassword moves the password of the database's URL into a field of its own. What it says never repeats the URL.
func (l *Loaded) cutPassword() error {
	from := l.From("database")
	rest, password, err := cutPassword(l.Database)
	if err != nil {
		return &Problem{Where: from, What: "database " + err.Error(), Hint: postgresURL + "; in a password write @ as %40, / as %2F, ? as %3F, % as %25"}
	}
	l.Database = rest
	switch {
	case password == "":
		return nil
	case strings.HasPrefix(from, "flag "):
		return &Problem{Where: from, What: "database has a password, and a process list shows flags", Hint: "give UNDERSTUDY_DATABASE, or database in the YAML file, or the password in database_password_file; PGPASSFILE works too"}
	case l.DatabasePassword != "":
		return &Problem{Where: from, What: "database has a password, and database_password is set too, by " + l.From("database_password"), Hint: "set one of the two"}
	}
	l.DatabasePassword, l.from["database_password"] = password, from
	return nil
}

var (
	// hosts are what stands before the path: each with a port of digits, since a password that begins with a slash would
	// have moved there.
	hosts = regexp.MustCompile(`^(\[[^\]]*\]|[^:\[\]/?,]*)(:[0-9]*)?(,(\[[^\]]*\]|[^:\[\]/?,]*)(:[0-9]*)?)*([/?]|$)`)
	// likePostgres is another form of a connection string, or a URL with a typing error. Where a name and a password stand before
	// a host, it is one whatever stands before them.
	likePostgres = regexp.MustCompile(`(?i)^postgres(ql)?:|(^|\s)(host|hostaddr|port|user|password|dbname|service)\s*=|(^|/)[^/:@]*:[^/]*@`)
)

// cutPassword takes the password out of a URL, and leaves alone what is no URL. Wherever else one might hide, in a URL that is
// badly escaped or among the options, it gives an error: what it returns may be shown.
func cutPassword(raw string) (rest string, password oauth.Secret, err error) {
	scheme, after, isURL := strings.Cut(raw, "://")
	if !isURL {
		if likePostgres.MatchString(raw) {
			return "", "", errors.New("is neither a file nor a postgres:// URL")
		}
		return raw, "", nil
	}
	user := ""
	if i := strings.IndexAny(after, "@/"); i >= 0 && after[i] == '@' {
		user, after = after[:i], after[i+1:]
	}
	name, secret, _ := strings.Cut(user, ":")
	if strings.ContainsAny(name, "?&=") || strings.Contains(after, "@") || !hosts.MatchString(after) {
		return "", "", errors.New("is not a URL that can be read")
	}
	if _, options, _ := strings.Cut(after, "?"); hasPassword(options) {
		return "", "", errors.New("has a password among its options, which is the place of none")
	}
	clear, err := url.PathUnescape(secret)
	if err != nil {
		return "", "", errors.New("has a password that is not percent-encoded")
	}
	if user != "" {
		after = name + "@" + after
	}
	return scheme + "://" + after, oauth.Secret(clear), nil
}

// hasPassword reports whether a URL's options have one. Postgres knows two by these very names, and a typing error makes others.
func hasPassword(options string) bool {
	for _, pair := range strings.FieldsFunc(options, func(c rune) bool { return c == '&' || c == ';' || c == '?' }) {
		key, _, _ := strings.Cut(pair, "=")
		if name, err := url.PathUnescape(key); err != nil || strings.HasSuffix(strings.ToLower(name), "password") {
			return true
		}
	}
	return false
}
