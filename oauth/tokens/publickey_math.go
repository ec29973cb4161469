package tokens

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// public gives the key that j spells, and the one algorithm that its kind has here. A number has one spelling: two would give one key
// two thumbprints.
func (j jwk) public() (crypto.PublicKey, *algorithm, error) {
	var public crypto.PublicKey
	var err error
	name := ""
	switch j.kty + " " + j.crv {
	case "EC P-256":
		name = ES256
		public, err = j.ecdsa()
	case "OKP Ed25519":
		name = EdDSA
		public, err = j.ed25519()
	case "RSA ":
		name = RS256
		public, err = j.rsa()
	default:
		err = errors.New("kty must be EC with crv P-256, OKP with crv Ed25519, or RSA")
	}
	return public, algorithms[name], err
}

// ecdsa leaves it to crypto/ecdsa that x and y are below the prime and on the curve (RFC 8725 §3.4).
func (j jwk) ecdsa() (*ecdsa.PublicKey, error) {
	x, errX := decode(j.x)
	y, errY := decode(j.y)
	if errX != nil || errY != nil || len(x) != 32 || len(y) != 32 {
		return nil, errors.New("x and y must be 32 bytes of base64url each")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, errors.New("x and y must be a point of P-256")
	}
	return public, nil
}

func (j jwk) ed25519() (ed25519.PublicKey, error) {
	x, err := decode(j.x)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return nil, errors.New("x must be 32 bytes of base64url")
	}
	if !onEd25519(x) {
		return nil, errors.New("x must be a point of Ed25519, and not one of its eight of small order")
	}
	return x, nil
}

func (j jwk) rsa() (*rsa.PublicKey, error) {
	n, err := positive(j.n)
	if err != nil {
		return nil, fmt.Errorf("n %w", err)
	}
	e, err := positive(j.e)
	switch {
	case err != nil:
		return nil, fmt.Errorf("e %w", err)
	case n.BitLen() < minRSA || n.BitLen() > maxRSA:
		return nil, fmt.Errorf("n must have %d to %d bits", minRSA, maxRSA)
	case n.Bit(0) == 0:
		return nil, errors.New("n must be odd")
	case e.BitLen() < 2 || e.Bit(0) == 0 || e.Cmp(big.NewInt(math.MaxInt32)) > 0:
		return nil, errors.New("e must be odd, at least 3, and below 2^31; 65537 is usual")
	case isROCA(n):
		return nil, errors.New("n must not come from the generator of CVE-2017-15361, whose keys can be factored")
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// positive reads a Base64urlUInt (RFC 7518 §2): as few bytes as can be.
func positive(s string) (*big.Int, error) {
	b, err := decode(s)
	if err != nil || len(b) == 0 || b[0] == 0 {
		return nil, errors.New("must be a number as base64url, without leading zeros")
	}
	return new(big.Int).SetBytes(b), nil
}

var (
	// prime25519 is 2^255 - 19, d25519 the curve's constant, both of RFC 8032 §5.1.
	prime25519 = decimal("57896044618658097711785492504343953926634992332820282019728792003956564819949")
	d25519     = decimal("37095705934669439343138083508754565189542113879843219016388785533085940283555")
	// order8 is y of those points whose order is 8; the other such y is its negative.
	order8 = decimal("2707385501144840649318225287225658788936804267575313519463743609750303402022")
)

func decimal(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		panic("not a number: " + s)
	}
	return n
}

// onEd25519 reports whether key is the one spelling of a point (RFC 8032 §5.1.3) whose order is not small. With a key of small order
// one signature holds for every message, so anybody could sign; crypto/ed25519 takes such keys, and y beyond the prime as well.
func onEd25519(key []byte) bool {
	reversed := slices.Clone(key)
	slices.Reverse(reversed)
	reversed[0] &= 0x7f // the sign of x
	y := new(big.Int).SetBytes(reversed)
	if y.Cmp(prime25519) >= 0 {
		return false
	}
	if y.Sign() == 0 || y.Cmp(order8) == 0 || y.Cmp(new(big.Int).Sub(prime25519, order8)) == 0 {
		return false
	}
	// x² = (y²-1)/(dy²+1): there is an x if the quotient is a square, and so is then the product. It is neither where y² is 1, in the two
	// points of order 1 and 2.
	one, y2 := big.NewInt(1), new(big.Int).Mul(y, y)
	x2 := new(big.Int).Mul(d25519, y2)
	x2.Add(x2, one).Mul(x2, y2.Sub(y2, one)).Mod(x2, prime25519)
	return big.Jacobi(x2, prime25519) == 1
}

// smallPrimes are those for which the marked keys of every size are powers of 65537.
var smallPrimes = []int64{
	3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
	101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
}

// isROCA reports the mark of the library of CVE-2017-15361, found in smart cards and TPMs: both its primes, and so n, are a power of
// 65537 modulo each of many small primes. One honest key in a hundred million has it by chance.
func isROCA(n *big.Int) bool {
	return !slices.ContainsFunc(smallPrimes, func(p int64) bool {
		rest := new(big.Int).Mod(n, big.NewInt(p)).Int64()
		power := int64(1)
		for range p {
			if power == rest {
				return false
			}
			power = power * 65537 % p
		}
		return true
	})
}
