package main

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/understudy-id/understudy/migrations"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// hints tells what to do about an error, the first that fits. Errors that know better carry their own; one that is not in
// the list comes from the machine or the configuration.
var hints = []struct {
	err  error
	hint string
}{
	{directory.ErrNotFound, "understudy user ls lists users; give an ID or an e-mail address"},
	{store.ErrNotFound, "understudy client ls, session ls and audit ls list what there is"},
	{store.ErrExists, "understudy user ls and client ls list what there is; the ID of a removed client is not free again"},
	{migrations.ErrOlder, "run understudy migrate up, on Postgres as the role that owns the tables; it is run once for all servers"},
	{migrations.ErrNewer, "this database was made for a newer program: run that, or one as new"},
	{postgres.ErrURL, "look at the options in the database's URL: pool_max_conns=20 bounds connections, and what we do not know is asked of the server"},
	{postgres.ErrUnreachable, "is that the host, and does a server listen there? --database or UNDERSTUDY_DATABASE names another"},
	{postgres.ErrTLS, "sslmode in the database's URL says what is asked for, sslrootcert whose certificates are taken"},
	{postgres.ErrCredentials, "look at the user in the database's URL, at UNDERSTUDY_DATABASE_PASSWORD, database_password_file or PGPASSFILE (one that a lower layer than the URL gives is not used), and at the server's pg_hba.conf"},
	{postgres.ErrNoDatabase, "createdb makes it; --database or UNDERSTUDY_DATABASE names another"},
	{postgres.ErrPrivilege, "understudy migrate up is for the role that owns the tables; what others need the SQL of understudy migrate roles grants"},
	{sqlite.ErrCorrupt, "put a backup back, or give --database another name; nothing was changed"},
	{sqlite.ErrReadOnly, "who owns the file and its directory, and is the disk writable? SQLite writes beside the file too"},
	{sqlite.ErrBusy, "another program holds the file, perhaps a backup or a shell: let it end and try again"},
	{syscall.EISDIR, "--database names a file, which may be a new one"},
	{store.ErrUnavailable, "is the disk full, or another program busy with the database? Try again"},
	{tokens.ErrKey, "is it the server's key? Look at UNDERSTUDY_SEALING_KEY, sealing_key_file and the file .key beside the database"},
	{audit.ErrOpening, tampered},
	{audit.ErrForm, tampered},
	{syscall.EADDRINUSE, "another program listens there; --listen and --private-listen name other ports"},
	{sqlite.ErrLocked, "stop the other server, or give this one its own --database"},
	{fs.ErrNotExist, "look at the path: a relative one begins where understudy was started"},
	{fs.ErrExist, "look at the path: what is there is not written over"},
	{fs.ErrPermission, "who owns the file, and who runs understudy?"},
}

const tampered = "an entry was changed after it was written: keep a copy of the database as it is"

func hintFor(err error) string {
	var h *hintError
	if errors.As(err, &h) {
		return h.hint
	}
	if errors.Is(err, context.Canceled) {
		return "" // who interrupted knows
	}
	if inv := new(admin.InvalidError); errors.As(err, &inv) {
		return "nothing was changed"
	}
	for _, h := range hints {
		if errors.Is(err, h.err) {
			return h.hint
		}
	}
	return "understudy config check tests the configuration"
}
