package tokens

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

// The algorithms that a key can have.
const (
	ES256 = "ES256" // ECDSA on P-256 with SHA-256 (RFC 7518 §3.4)
	EdDSA = "EdDSA" // Ed25519 (RFC 8037 §3.1)
	RS256 = "RS256" // RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3)
)

// Algorithms lists the algorithms that a key can have, the usual first.
func Algorithms() []string { return []string{ES256, EdDSA, RS256} }

// The sizes of RSA keys, in bits. NIST SP 800-57 gives no less than 2048; more than 4096 makes each verification a load.
const minRSA, maxRSA = 2048, 4096

// algorithm is how keys of one kind are made, sign and verify. Of each signature one spelling verifies; verifyAny takes what others may
// sign too.
type algorithm struct {
	name      string
	generate  func() (crypto.Signer, error)
	sign      func(signer crypto.Signer, input []byte) ([]byte, error)
	verify    func(public crypto.PublicKey, input string, signature []byte) bool
	verifyAny func(public crypto.PublicKey, input string, signature []byte) bool
}

var algorithms = map[string]*algorithm{
	ES256: {ES256, func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }, signES256, verifyES256, verifyAnyES256},
	EdDSA: {EdDSA, func() (crypto.Signer, error) {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}, signEdDSA, verifyEdDSA, verifyEdDSA},
	RS256: {RS256, func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, minRSA) }, signRS256, verifyRS256, verifyRS256},
}

// algorithmOf gives the one algorithm that a public key has.
func algorithmOf(public crypto.PublicKey) (*algorithm, error) {
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		if p.Curve == elliptic.P256() {
			return algorithms[ES256], nil
		}
		return nil, fmt.Errorf("%w: it is not on P-256", ErrKey)
	case ed25519.PublicKey:
		if len(p) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("%w: an Ed25519 key of %d bytes", ErrKey, len(p))
		}
		return algorithms[EdDSA], nil
	case *rsa.PublicKey:
		if n := p.N.BitLen(); n < minRSA || n > maxRSA {
			return nil, fmt.Errorf("%w: an RSA key of %d bits, it must have %d to %d", ErrKey, n, minRSA, maxRSA)
		}
		return algorithms[RS256], nil
	}
	return nil, fmt.Errorf("%w: a public key of type %T", ErrKey, public)
}

var (
	order     = elliptic.P256().Params().N
	halfOrder = new(big.Int).Rsh(order, 1)
	// highestS is halfOrder as the last 32 bytes of a signature spell it.
	highestS = halfOrder.FillBytes(make([]byte, 32))
)

// signES256 gives r and s, 32 bytes each. (r, s) and (r, n-s) both verify, so that every token would have a twin; we sign the lower s
// and verifyES256 takes no other.
func signES256(signer crypto.Signer, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	der, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var in struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &in); err != nil || in.R.BitLen() > 256 || in.S.BitLen() > 256 {
		return nil, errors.New("the signer gave no ECDSA signature")
	}
	if in.S.Cmp(halfOrder) > 0 {
		in.S.Sub(order, in.S)
	}
	signature := make([]byte, 64)
	in.R.FillBytes(signature[:32])
	in.S.FillBytes(signature[32:])
	return signature, nil
}

func verifyES256(public crypto.PublicKey, input string, signature []byte) bool {
	return len(signature) == 64 && bytes.Compare(signature[32:], highestS) <= 0 && verifyAnyES256(public, input, signature)
}

// verifyAnyES256 takes the higher s too: half of what other signers give has it. It leaves zero and n to ecdsa.Verify, which refuses them.
func verifyAnyES256(public crypto.PublicKey, input string, signature []byte) bool {
	if len(signature) != 64 {
		return false
	}
	digest := sha256.Sum256([]byte(input))
	r := new(big.Int).SetBytes(signature[:32])
	s := new(big.Int).SetBytes(signature[32:])
	return ecdsa.Verify(public.(*ecdsa.PublicKey), digest[:], r, s)
}

func signEdDSA(signer crypto.Signer, input []byte) ([]byte, error) {
	return signer.Sign(rand.Reader, input, crypto.Hash(0))
}

// verifyEdDSA leaves all to ed25519.Verify, which takes no s beyond the order and no second spelling of R.
func verifyEdDSA(public crypto.PublicKey, input string, signature []byte) bool {
	return ed25519.Verify(public.(ed25519.PublicKey), []byte(input), signature)
}

func signRS256(signer crypto.Signer, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	return signer.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// verifyRS256 leaves all to crypto/rsa, which wants exactly as many bytes as the modulus has, and a number below it.
func verifyRS256(public crypto.PublicKey, input string, signature []byte) bool {
	digest := sha256.Sum256([]byte(input))
	return rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, digest[:], signature) == nil
}
