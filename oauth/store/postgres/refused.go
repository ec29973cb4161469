package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Why a database cannot be opened, for who tells an operator what to do.
var (
	ErrURL         = errors.New("the URL cannot be used")              // it cannot be read, or has an option that the server does not know
	ErrUnreachable = errors.New("no answer")                           // the host is unknown, nothing listens there, or it is silent
	ErrTLS         = errors.New("no TLS as asked for")                 // the server has none, or its certificate is not accepted
	ErrCredentials = errors.New("the server does not let the role in") // wrong role or password, or pg_hba.conf
	ErrNoDatabase  = errors.New("no such database")
	ErrPrivilege   = errors.New("the role lacks a right") // a grant is missing; also of a Store that is open
)

// refusal is an error of opening: one line, its reason, and what was behind it.
type refusal struct {
	text   string
	reason error
	cause  error
}

func (r *refusal) Error() string { return r.text }

func (r *refusal) Unwrap() []error { return []error{r.reason, r.cause} }

// refused says in one line what we were doing, where, and what went wrong; nil for nil.
func refused(doing string, config *pgx.ConnConfig, err error) error {
	if err == nil {
		return nil
	}
	cause := err
	if e := new(pgconn.ConnectError); errors.As(err, &e) {
		cause = errors.Unwrap(e) // without the names, which are ours to give
	}
	where := config.Database
	if where == "" {
		where = config.User // as Postgres does
	}
	return &refusal{fmt.Sprintf("%s %s at %s: %s", doing, where, config.Host, lines(cause.Error())), reason(err), err}
}

// lines are those of text in one. The driver may try a server twice, with TLS and without, and then says the same twice.
func lines(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.Join(strings.Fields(line), " "), "hostname resolving error: ")
		if line != "" && !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "; ")
}

// The classes and codes of appendix A of Postgres' manual.
const (
	invalidAuthorization  = "28"
	invalidCatalog        = "3D000"
	insufficientPrivilege = "42501"
	undefinedObject       = "42704"
)

// reason sorts err; nil if it is of no kind.
func reason(err error) error {
	switch c := code(err); {
	case strings.HasPrefix(c, invalidAuthorization):
		return ErrCredentials
	case c == invalidCatalog:
		return ErrNoDatabase
	case c == insufficientPrivilege:
		return ErrPrivilege
	case c == undefinedObject && errors.As(err, new(*pgconn.ConnectError)): // a misspelt option of ours is sent as a setting of its own
		return ErrURL
	case c != "":
		return nil
	case isTLS(err):
		return ErrTLS
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) {
		return ErrUnreachable
	}
	return nil
}

func isTLS(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &certificate) || errors.As(err, &record) ||
		strings.Contains(err.Error(), "server refused TLS connection") // the driver has no name for it
}
