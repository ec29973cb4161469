package jws_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/conformance/internal/jws"
)

const (
	joe = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	rs  = `{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}`
	es  = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	big = `{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}`
	ed  = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
)

// TestRFC: what the RFCs show verifies, and is refused by the key of another of them and with one bit of its signature changed. What has a shared secret or no
// signature is refused by each key. (RFC 8693 appendix A shows tokens without their keys.)
func TestRFC(t *testing.T) {
	t.Parallel()
	signed := map[string]struct{ key, token string }{
		"RFC 7515 A.2": {rs, "eyJhbGciOiJSUzI1NiJ9." + joe + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"},
		"RFC 7515 A.3": {es, "eyJhbGciOiJFUzI1NiJ9." + joe + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
		"RFC 7515 A.4": {big, "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"},
		"RFC 8037 A.4": {ed, "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
	}
	refused := map[string]string{
		"RFC 7515 A.1": "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + joe + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
		"RFC 7515 A.5": "eyJhbGciOiJub25lIn0." + joe + ".",
	}
	for name, v := range signed {
		if _, err := jws.Verify(v.token, keys(t, v.key)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		at := strings.LastIndexByte(v.token, '.') + 9
		other := "A"
		if v.token[at] == 'A' {
			other = "B"
		}
		if _, err := jws.Verify(v.token[:at]+other+v.token[at+1:], keys(t, v.key)); err == nil {
			t.Errorf("%s: verifies though its signature was changed", name)
		}
		for foreign, o := range signed {
			if _, err := jws.Verify(v.token, keys(t, o.key)); o.key != v.key && err == nil {
				t.Errorf("%s: verifies by the key of %s", name, foreign)
			}
		}
		for what, token := range refused {
			if _, err := jws.Verify(token, keys(t, v.key)); err == nil {
				t.Errorf("%s: verifies by the key of %s", what, name)
			}
		}
	}
}

// TestProofOfRFC9449: the proof of figure 2 verifies by the key that it brings, which Verify itself trusts no more than another.
func TestProofOfRFC9449(t *testing.T) {
	t.Parallel()
	const proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	token, err := jws.Parse(proof)
	if err != nil {
		t.Fatal(err)
	}
	brought, err := json.Marshal(token.Header["jwk"])
	if err != nil {
		t.Fatal(err)
	}
	if err := keys(t, string(brought))[0].Verify("ES256", token.Signed, token.Signature); err != nil {
		t.Error(err)
	}
	if _, err := jws.Verify(proof, keys(t, string(brought))); err == nil {
		t.Error("Verify takes a token with a key of its own")
	}
}

// TestLineEnds: base64url has none, though Go's decoder passes over them.
func TestLineEnds(t *testing.T) {
	t.Parallel()
	if _, err := jws.Parse("eyJhbGciOiJub25lIn0." + joe[:8] + "\r\n" + joe[8:] + "."); err == nil {
		t.Error("a token with a line end is read")
	}
}

func keys(t *testing.T, key string) []jws.Key {
	t.Helper()
	var k jws.Key
	if err := json.Unmarshal([]byte(key), &k); err != nil {
		t.Fatal(err)
	}
	return []jws.Key{k}
}
