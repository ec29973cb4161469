// Package transfer moves an installation from a SQLite file to an empty Postgres database. Start with [Copy]; [Verify] compares
// the two sides without changing anything, and [Reopen] gives a source that is not served any more back to its server. What a
// marked database is in the middle of tells store.MarkOf.
//
// A copy is all of the installation: row for row, with its name, its sequence numbers and the bytes of its audit trail. From
// before the first row until the end both sides refuse every other writer, by a mark that programs read and by triggers that
// hold those who had opened the database before. What is cut short at any moment goes on when it is run again.
//
// The package makes no schema and no roles, changes nothing in what it copies, and copies in no other direction.
package transfer
