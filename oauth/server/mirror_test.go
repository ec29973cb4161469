package server_test

import (
	"crypto/elliptic"
	"math/big"
)

// mirror gives the other signature that verifies wherever this one does: (r, n-s).
func mirror(sig []byte) []byte {
	out := append([]byte(nil), sig...)
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(out[32:])
	return out
}
