// Package audit is the trail's entry and its canonical bytes. Start with [New], add what happened with
// [Entry.Set] and [Entry.SetPersonal], and turn it into bytes with [Canonical]; a store keeps those bytes beside the
// act that they record, in the same transaction. An auditor links only this package, so it knows no store,
// no fosite and no network.
//
// # The canonical form
//
// One entry is one JSON object in UTF-8, in the form of RFC 8785 (JCS): members sorted by name, no space between
// tokens, and in strings only these escapes: \" \\ \b \t \n \f \r, and \u00xx in lower-case hex for what is left
// below U+0020. The only values are strings, objects of them, and the integer v, so that RFC 8785's rules for
// floating-point numbers never come up. There is no newline at the end. The members, in their order:
//
//	actor    {"iss","sub"}  who did it
//	client   string         client_id
//	commit   object         name: commitment, for each personal field
//	fields   object         name: value, for each field in clear
//	id       string         1 to 64 of a-z 0-9 _               required
//	kind     string         1 to 64 of a-z 0-9 _ .             required
//	policy   string         policy version
//	request  string         request id
//	session  string         sid
//	subject  {"iss","sub"}  to whom
//	time     string         2006-01-02T15:04:05.000Z, UTC      required
//	v        1              version of this form               required
//
// A member, and a member of a member, whose value is the empty string or the empty object is left out. Nothing else
// may stand there. Names in fields and commit are 1 to 64 of a-z 0-9 _, and no name is in both. A string is at most
// 4,096 bytes before escaping, fields and commit have at most 64 names together, and the whole is at most 65,535 bytes.
//
// The commitment to a personal field is base64url without padding (RFC 4648 §5) of
//
//	HMAC-SHA256(key = salt, message = name || 0x00 || value)
//
// where salt is 16 random bytes, fresh for each field of each entry. The opening, kept beside the entry, holds what was
// committed to, in the same JSON form, with one member for each member of commit:
//
//	{"reason":{"salt":"<22 characters of base64url>","value":"she cannot find the report"}}
//
// Deleting the opening erases the personal values: the salt hides even a value that is easy to guess, and the entry
// still verifies. Vectors for other implementations are in testdata/vectors, embedded by package audit/testdata.
package audit
