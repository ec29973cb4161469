package tokens_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/tokens"
)

const rsaThumbprintKey = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRX` +
	`jBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvR` +
	`L5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB",` +
	`"alg":"RS256","kid":"2011-04-29"}`

// RFC 7638 §3.1 and RFC 8037 Appendix A.3, and the key of Appendix A.4 verifies the signature there.
//
// Covers RFC7638-3-01.
func TestThumbprintVectors(t *testing.T) {
	t.Parallel()
	keys, err := tokens.ParseKeys([]byte(`{"keys":[` + rsaThumbprintKey + `,{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"} {
		if got := keys[i].Thumbprint(); got != want {
			t.Errorf("%s: got %s, want %s", keys[i].Algorithm, got, want)
		}
	}
	const signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	if got, err := tokens.VerifyJWS(signed, keys); err != nil || string(got) != "Example of Ed25519 signing" {
		t.Errorf("RFC 8037 A.4: got %q, %v", got, err)
	}
	if got := (tokens.PublicKey{}).Thumbprint(); got != "" {
		t.Errorf("zero value: got %q", got)
	}
}

func TestParseKeysGivesTheSet(t *testing.T) {
	t.Parallel()
	var all []tokens.Key
	for _, k := range clientKeys() {
		all = append(all, k)
	}
	for i, k := range registered(t, all...) {
		if k.ID != all[i].ID || k.Algorithm != all[i].Algorithm || k.Thumbprint() != all[i].ID {
			t.Errorf("got %s %s %s, want %s %s", k.ID, k.Algorithm, k.Thumbprint(), all[i].ID, all[i].Algorithm)
		}
	}
	eight := strings.Repeat(bareJWK(t, clientKey().Signer().Public())+",", 8)
	if keys, err := tokens.ParseKeys([]byte(`{"keys":[` + strings.TrimSuffix(eight, ",") + `],"other":1}`)); err != nil || len(keys) != 8 || keys[0].ID != "" {
		t.Errorf("eight without kid: got %d, %v", len(keys), err)
	}
}

// refusesKeys wants ParseKeys to refuse each set, and to say the word that names what is wrong.
func refusesKeys(t *testing.T, sets map[string]struct{ set, word string }) {
	t.Helper()
	for name, c := range sets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := tokens.ParseKeys([]byte(c.set))
			if !errors.Is(err, tokens.ErrKey) || keys != nil {
				t.Fatalf("got %v, %v; want ErrKey", keys, err)
			}
			describes(t, err)
			if !strings.Contains(err.Error(), c.word) {
				t.Errorf("got %q, want it to say %q", err, c.word)
			}
		})
	}
}

func TestParseKeysRefusesSets(t *testing.T) {
	t.Parallel()
	jwk := bareJWK(t, clientKey().Signer().Public())
	other := bareJWK(t, newKey(t).Signer().Public())
	named := func(jwk, kid string) string { return with(t, jwk, `"kty"`, `"kid":`+kid+`,"kty"`) }
	refusesKeys(t, map[string]struct{ set, word string }{
		"empty":           {``, "the set"},
		"an array":        {`[` + jwk + `]`, "the set"},
		"one key":         {jwk, "keys"},
		"no keys":         {`{"keys":[]}`, "1 to 8"},
		"keys an object":  {`{"keys":` + jwk + `}`, "array"},
		"Keys":            {`{"Keys":[` + jwk + `]}`, "array"},
		"keys twice":      {`{"keys":[],"keys":[` + jwk + `]}`, "twice"},
		"nine":            {`{"keys":[` + strings.Repeat(jwk+",", 8) + jwk + `]}`, "1 to 8"},
		"too long":        {`{"keys":[` + jwk + `]}` + strings.Repeat(" ", 64<<10), "bytes"},
		"a string":        {`{"keys":["` + issuer + `"]}`, "object"},
		"null":            {`{"keys":[null]}`, "object"},
		"something after": {`{"keys":[` + jwk + `]}x`, "the set"},
		"one kid for two": {`{"keys":[` + named(jwk, `"a"`) + `,` + named(other, `"a"`) + `]}`, "keys[1]: kid"},
		"kid a number":    {`{"keys":[` + named(jwk, `1`) + `]}`, "kid"},
		"kid empty":       {`{"keys":[` + named(jwk, `""`) + `]}`, "kid"},
		"kid too long":    {`{"keys":[` + named(jwk, `"`+strings.Repeat("x", 257)+`"`) + `]}`, "256"},
		"the second bad":  {`{"keys":[` + jwk + `,` + with(t, other, `"EC"`, `"RSA"`) + `]}`, "keys[1]: kty"},
	})
}

func TestParseKeysRefusesMembers(t *testing.T) {
	t.Parallel()
	jwk := bareJWK(t, clientKey().Signer().Public())
	sets := make(map[string]struct{ set, word string })
	for member, word := range map[string]string{
		`"use":"enc"`: "use", `"use":""`: "use", `"use":["sig"]`: "use", `"USE":"enc"`: "disguise",
		`"key_ops":["sign"]`: "key_ops", `"key_ops":["verify","sign"]`: "key_ops", `"key_ops":[]`: "key_ops", `"key_ops":"verify"`: "key_ops",
		`"key_ops":[["verify"]]`: "key_ops", `"alg":"RS256"`: "alg must be ES256", `"alg":"ES384"`: "alg", `"alg":"none"`: "alg", `"alg":"HS256"`: "alg",
		`"alg":"es256"`: "alg", `"alg":1`: "alg", `"d":"AA"`: "d belongs", `"p":"AA"`: "p belongs", `"q":"AA"`: "q belongs", `"dp":"AA"`: "dp belongs",
		`"dq":"AA"`: "dq belongs", `"qi":"AA"`: "qi belongs", `"oth":[]`: "oth belongs", `"k":"AA"`: "k belongs", `"k":null`: "k belongs",
		`"D":"AA"`: "disguise", `"\u212A":"AA"`: "disguise", `"u\u017fe":"enc"`: "disguise",
	} {
		sets[member] = struct{ set, word string }{`{"keys":[` + with(t, jwk, `"kty"`, member+`,"kty"`) + `]}`, word}
	}
	refusesKeys(t, sets)
	for _, member := range []string{`"use":"sig"`, `"key_ops":["verify"]`, `"alg":"ES256"`, `"x5c":["AA"]`, `"ext":true`} {
		if _, err := tokens.ParseKeys([]byte(`{"keys":[` + with(t, jwk, `"kty"`, member+`,"kty"`) + `]}`)); err != nil {
			t.Errorf("%s: %v", member, err)
		}
	}
}

// number is a Base64urlUInt.
func number(n *big.Int) string { return b64(n.Bytes()) }

// Off the curve, of a wrong length, or not of our kinds.
//
// Covers RFC8725-3.4-01.
func TestKeysThatAreNoKeys(t *testing.T) {
	t.Parallel()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := p256.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	x, y := raw[1:33], raw[33:]
	moved := slices.Clone(y)
	moved[31] ^= 1
	ec := func(x, y []byte) string {
		return `{"kty":"EC","crv":"P-256","x":"` + b64(x) + `","y":"` + b64(y) + `"}`
	}
	good := ec(x, y)
	prime := elliptic.P256().Params().P
	keys := map[string]struct{ jwk, word string }{
		"off the curve":          {ec(x, moved), "point of P-256"},
		"zero":                   {ec(make([]byte, 32), make([]byte, 32)), "point of P-256"},
		"x the prime":            {ec(prime.Bytes(), y), "point of P-256"},
		"x of 31 bytes":          {ec(x[1:], y), "32 bytes"},
		"x of 33 bytes":          {ec(append([]byte{0}, x...), y), "32 bytes"},
		"y of 33 bytes":          {ec(x, append([]byte{0}, y...)), "32 bytes"},
		"no y":                   {with(t, good, `,"y":"`+b64(y)+`"`, ``), "32 bytes"},
		"y empty":                {with(t, good, `"y":"`+b64(y)+`"`, `"y":""`), "y must be"},
		"x padded":               {with(t, good, b64(x), b64(x)+"="), "32 bytes"},
		"x in plain base64":      {with(t, good, b64(x), "+/"+b64(x)[2:]), "32 bytes"},
		"x with a newline":       {with(t, good, b64(x), `\n`+b64(x)), "32 bytes"},
		"x with trailing bits":   {with(t, good, b64(x), b64(x)[:42]+"B"), "32 bytes"},
		"P-384":                  {bareJWK(t, p384.Public()), "kty must be"},
		"a P-384 key as P-256":   {with(t, bareJWK(t, p384.Public()), "P-384", "P-256"), "32 bytes"},
		"a P-256 key as P-384":   {with(t, good, "P-256", "P-384"), "kty must be"},
		"secp256k1":              {with(t, good, "P-256", "secp256k1"), "kty must be"},
		"crv absent":             {with(t, good, `"crv":"P-256",`, ``), "kty must be"},
		"kty absent":             {with(t, good, `"kty":"EC",`, ``), "kty must be"},
		"kty oct":                {with(t, good, `"EC"`, `"oct"`), "kty must be"},
		"kty ec":                 {with(t, good, `"EC"`, `"ec"`), "kty must be"},
		"X25519":                 {`{"kty":"OKP","crv":"X25519","x":"` + b64(x) + `"}`, "kty must be"},
		"Ed25519 of 31 bytes":    {`{"kty":"OKP","crv":"Ed25519","x":"` + b64(x[1:]) + `"}`, "32 bytes"},
		"Ed25519 without x":      {`{"kty":"OKP","crv":"Ed25519"}`, "32 bytes"},
		"Ed25519 off the curve":  {ed25519JWK("0200000000000000000000000000000000000000000000000000000000000000"), "point of Ed25519"},
		"Ed25519 with y = prime": {ed25519JWK("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), "point of Ed25519"},
	}
	refusesJWKs(t, keys)
}

func ed25519JWK(x string) string {
	raw, err := hex.DecodeString(x)
	if err != nil {
		panic(err)
	}
	return `{"kty":"OKP","crv":"Ed25519","x":"` + b64(raw) + `"}`
}

// refusesJWKs wants each key to be refused, alone in a set and in a DPoP proof.
func refusesJWKs(t *testing.T, keys map[string]struct{ jwk, word string }) {
	t.Helper()
	sets := make(map[string]struct{ set, word string })
	k := clientKey()
	for name, c := range keys {
		sets[name] = struct{ set, word string }{`{"keys":[` + c.jwk + `]}`, c.word}
		for _, algorithm := range []string{tokens.ES256, tokens.EdDSA, tokens.RS256} {
			header := `{"typ":"dpop+jwt","alg":"` + algorithm + `","jwk":` + c.jwk + `}`
			if _, err := tokens.VerifyProof(compact(t, k, header, proofPayload), expectProof); !errors.Is(err, tokens.ErrMalformed) {
				t.Errorf("%s in a proof: got %v, want ErrMalformed", name, err)
			}
		}
	}
	refusesKeys(t, sets)
}

// With a key of small order one signature is everybody's. These are all eight points of order 1, 2, 4 and 8, then spellings beyond the
// prime, of them and of others; crypto/ed25519 takes each.
//
// Covers RFC8725-3.4-01.
func TestEd25519KeysOfSmallOrder(t *testing.T) {
	t.Parallel()
	keys := make(map[string]struct{ jwk, word string })
	for _, x := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	} {
		keys[x] = struct{ jwk, word string }{ed25519JWK(x), "small order"}
	}
	for beyond := byte(1); beyond < 19; beyond++ { // the prime and so much: half of these would be points
		key := strings.Repeat("ff", 31)
		keys[fmt.Sprint("the prime and ", beyond)] = struct{ jwk, word string }{ed25519JWK(hex.EncodeToString([]byte{0xed + beyond}) + key[:60] + "7f"), "point of Ed25519"}
	}
	refusesJWKs(t, keys)

	// The attack: R is the base point, s is one, and the key is the neutral element.
	neutral := make([]byte, 32)
	neutral[0] = 1
	base, err := hex.DecodeString("5866666666666666666666666666666666666666666666666666666666666666")
	if err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(neutral, []byte("anything"), slices.Concat(base, neutral)) {
		t.Error("crypto/ed25519 refuses it by now: is the check still needed?")
	}
}

// Every key that is made is taken.
func TestEd25519KeysAreTaken(t *testing.T) {
	t.Parallel()
	for range 200 {
		public, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tokens.ParseKeys([]byte(`{"keys":[` + bareJWK(t, public) + `]}`)); err != nil {
			t.Fatal(err)
		}
	}
}

// Covers RFC8725-3.4-01.
func TestRSAKeysThatAreWeak(t *testing.T) {
	t.Parallel()
	n := clientKeys()[tokens.RS256].Signer().Public().(*rsa.PublicKey).N
	jwk := func(n, e string) string { return `{"kty":"RSA","n":"` + n + `","e":"` + e + `"}` }
	of := func(bits uint) string { return number(new(big.Int).SetBit(n, int(bits)-1, 1)) }
	power := func(x int64) *big.Int { return new(big.Int).Exp(big.NewInt(65537), big.NewInt(x), nil) }
	keys := map[string]struct{ jwk, word string }{
		"512 bits":            {jwk(number(new(big.Int).Rsh(n, 2048-512)), "AQAB"), "2048 to 4096"},
		"1024 bits":           {jwk(number(new(big.Int).Rsh(n, 1024)), "AQAB"), "2048 to 4096"},
		"2047 bits":           {jwk(number(new(big.Int).Rsh(n, 1)), "AQAB"), "2048 to 4096"},
		"4097 bits":           {jwk(of(4097), "AQAB"), "2048 to 4096"},
		"16384 bits":          {jwk(of(16384), "AQAB"), "2048 to 4096"},
		"even":                {jwk(number(new(big.Int).Add(n, big.NewInt(1))), "AQAB"), "odd"},
		"n with a zero":       {jwk(b64(append([]byte{0}, n.Bytes()...)), "AQAB"), "leading zeros"},
		"n absent":            {`{"kty":"RSA","e":"AQAB"}`, "n must be"},
		"n padded":            {jwk(number(n)+"==", "AQAB"), "n must be"},
		"e absent":            {`{"kty":"RSA","n":"` + number(n) + `"}`, "e must be"},
		"e of 0":              {jwk(number(n), "AA"), "leading zeros"},
		"e of 1":              {jwk(number(n), "AQ"), "e must be odd"},
		"e of 2":              {jwk(number(n), "Ag"), "e must be odd"},
		"e even":              {jwk(number(n), "AQAA"), "e must be odd"},
		"e of 2^31+1":         {jwk(number(n), number(big.NewInt(1<<31+1))), "e must be odd"},
		"e of 2^64+3":         {jwk(number(n), "AQAAAAAAAAAD"), "e must be odd"},
		"e with a zero":       {jwk(number(n), "AAEAAQ"), "leading zeros"},
		"with a crv":          {`{"kty":"RSA","crv":"P-256","n":"` + number(n) + `","e":"AQAB"}`, "kty must be"},
		"a power of 65537":    {jwk(number(power(2500/16)), "AQAB"), "CVE-2017-15361"},
		"another such":        {jwk(number(power(4000/16)), "AQAB"), "CVE-2017-15361"},
		"n as plain base64":   {jwk(strings.NewReplacer("-", "+", "_", "/").Replace(number(n))+"+", "AQAB"), "n must be"},
		"n as a JSON number":  {`{"kty":"RSA","n":` + n.String() + `,"e":"AQAB"}`, "out of range"},
		"e as a JSON number":  {`{"kty":"RSA","n":"` + number(n) + `","e":65537}`, "e must be"},
		"an EC key's members": {with(t, bareJWK(t, clientKey().Signer().Public()), `"kty":"EC","crv":"P-256"`, `"kty":"RSA"`), "n must be"},
	}
	refusesJWKs(t, keys)
	for name, e := range map[string]string{"3": "Aw", "65537": "AQAB", "2^31-1": number(big.NewInt(1<<31 - 1))} {
		if _, err := tokens.ParseKeys([]byte(`{"keys":[` + jwk(number(n), e) + `]}`)); err != nil {
			t.Errorf("e of %s: %v", name, err)
		}
	}
}

// No text of an error quotes what was sent.
func TestKeyErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	const secret = "c2VjcmV0LXNlY3JldA"
	for _, set := range []string{
		`{"keys":[{"kty":"EC","crv":"P-256","d":"` + secret + `"}]}`, `{"keys":[{"kty":"` + secret + `"}]}`, `{"keys":[{"kty":"RSA","n":"` + secret + `","e":"AQAB"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"` + secret + `","y":"AA"}]}`, `{"keys":[{"use":"` + secret + `"}]}`, `{"keys":[{"k":"` + secret + `","kty":"oct"}]}`,
		`{"` + secret + `":1}`, secret,
	} {
		if _, err := tokens.ParseKeys([]byte(set)); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v", set, err)
		}
	}
}
